"""TeacherForcingSchedule: each kind against its formula, and what is refused."""

import math

import keras
import numpy as np
import pytest

from keras_attn.models import TeacherForcingSchedule

STEPS = (0, 1, 7, 101, 5003)


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        ({"kind": "linear", "k": 0.9, "slope": 0.01}, lambda i: max(0.0, 0.9 - 0.01 * i)),
        ({"kind": "linear", "k": 1.0, "slope": 0.01, "minimum": 0.5}, lambda i: max(0.5, 1 - 0.01 * i)),
        ({"kind": "exponential", "k": 0.99}, lambda i: 0.99**i),
        ({"kind": "inverse_sigmoid", "k": 20.0}, lambda i: 20 / (20 + math.exp(i / 20))),
        ({"kind": "exponential", "k": 0.99, "minimum": 0.25}, lambda i: max(0.25, 0.99**i)),
    ],
)
def test_formula(settings, formula):
    schedule = TeacherForcingSchedule(**settings)
    received = [float(schedule(step)) for step in STEPS]
    np.testing.assert_allclose(received, [formula(step) for step in STEPS], rtol=1e-4, atol=1e-7)


def test_no_step_is_too_late():
    """exp(i / k) would be beyond float32."""
    assert float(TeacherForcingSchedule("inverse_sigmoid", k=1.0)(10_000_000)) == 0


def test_config_round_trip():
    written = keras.saving.serialize_keras_object(
        TeacherForcingSchedule("linear", k=0.9, slope=0.1, minimum=0.2)
    )
    assert written["registered_name"] == "keras_attn>TeacherForcingSchedule"
    again = keras.saving.deserialize_keras_object(written)
    assert again.get_config() == {"kind": "linear", "k": 0.9, "slope": 0.1, "minimum": 0.2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "cosine"}, r"`kind` is unknown. Expected one of .* Received: kind='cosine'"),
        ({"kind": "linear", "k": 1.5, "slope": 0.1}, "`k` does not fit kind='linear'.*Received: k=1.5"),
        ({"kind": "exponential", "k": 1.0}, "`k` does not fit kind='exponential'.*Received: k=1.0"),
        ({"kind": "inverse_sigmoid", "k": 0.5}, "`k` does not fit kind='inverse_sigmoid'.*k=0.5"),
        ({"minimum": 1.5}, r"`minimum` must be a probability. Received: minimum=1.5"),
        ({"kind": "linear", "k": 1.0}, "`slope` belongs to kind='linear', where it is above 0.*slope=0.0"),
        ({"kind": "exponential", "k": 0.5, "slope": 0.1}, "`slope` belongs to .*kind='exponential'"),
    ],
)
def test_what_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TeacherForcingSchedule(**settings)
