"""Learning rates: hand numbers, Keras' cosine, the papers' own formulae."""

import keras
import numpy as np
import pytest

from keras_attn.training.from_recipe.schedules import WarmupSchedule


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", [0, 0.35, 0.7, 0.7, 0.7]),
        ("cosine", [0, 0.35, 0.7, 0.35, 0]),
        ("inverse_sqrt", [0, 0.35, 0.7, 0.7 * (2 / 5) ** 0.5, 0.7 * (2 / 8) ** 0.5]),
        ("noam", [0.35, 0.7, 0.7 * (2 / 3) ** 0.5, 0.7 * (2 / 6) ** 0.5, 0.7 * (2 / 9) ** 0.5]),
    ],
)
def test_hand_numbers(kind, expected):
    schedule = WarmupSchedule(kind, 0.7, warmup_steps=2, decay_steps=8)
    np.testing.assert_allclose(rates(schedule, [0, 1, 2, 5, 8]), expected, rtol=1e-6, atol=1e-7)


def test_noam_is_the_papers_formula():
    width, warmup, factor = 512, 11, 2.0
    schedule = WarmupSchedule("noam", factor / (width * warmup) ** 0.5, warmup)
    number = np.arange(1, 48)
    expected = factor * width**-0.5 * np.minimum(number**-0.5, number * warmup**-1.5)
    np.testing.assert_allclose(rates(schedule, number - 1), expected, rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 7])
def test_cosine_is_that_of_keras(warmup):
    ours = WarmupSchedule("cosine", 0.3, warmup, decay_steps=31)
    keras_own = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else 0.3, 31 - warmup, warmup_target=0.3 if warmup else None, warmup_steps=warmup
    )
    steps = range(0, 37, 3)
    np.testing.assert_allclose(rates(ours, steps), rates(keras_own, steps), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["constant", "cosine", "inverse_sqrt", "noam"])
def test_an_update_is_several_batches_where_gradients_are_accumulated(kind):
    one = WarmupSchedule(kind, 0.7, 3, 13)
    three = WarmupSchedule(kind, 0.7, 3, 13, accumulate_steps=3)
    np.testing.assert_array_equal(rates(three, range(0, 39)), np.repeat(rates(one, range(13)), 3))


@pytest.mark.parametrize("kind", ["constant", "cosine", "inverse_sqrt", "noam"])
def test_without_warm_up_the_first_rate_is_the_peak_where_it_is_not_zero(kind):
    first = float(WarmupSchedule(kind, 0.7, 0, 13)(0))
    assert first == pytest.approx(0.7)


def test_config_round_trip():
    schedule = WarmupSchedule("cosine", 0.7, 3, 13, accumulate_steps=2)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert again.get_config() == schedule.get_config()
    assert schedule(np.int64(5)).dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", 1.0), "`kind` is unknown. Expected one of cosine, noam, .* Received: 'linear'"),
        (("noam", 0.0), "out of range. Expected `peak` above 0.* Received: 0.0, 0, 1"),
        (("noam", 1.0, -1), "out of range.* Received: 1.0, -1, 1"),
        (("noam", 1.0, 1, None, 0), "out of range.* Received: 1.0, 1, 0"),
        (("cosine", 1.0, 3), "`decay_steps` is where the cosine ends. Expected more than .* Received: None"),
        (("cosine", 1.0, 3, 3), "Expected more than `warmup_steps` = 3. Received: 3. Train longer"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmupSchedule(*arguments)
