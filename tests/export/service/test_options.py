"""Options of requests: what is allowed, for every row."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.service.options import OPTIONS, checked_option

ROWS = tf.zeros([3, 5])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("max_length", [3, 0, 3], r"`max_length` is out of range. Expected 1 to 11. Received:'?\s+0"),
        ("max_length", [3, 12, 3], r"`max_length` is out of range. Expected 1 to 11. Received:'?\s+12"),
        ("length_penalty", [np.nan], "`length_penalty` is out of range. Expected -10 to 10"),
        ("length_penalty", [10.5], "`length_penalty` is out of range"),
        ("temperature", [1.0, 0.0, 1.0], "`temperature` is out of range. Expected a number above 0"),
        ("temperature", [np.inf], "`temperature` is out of range"),
        ("top_k", [-1], "`top_k` is out of range. Expected at least 0"),
        ("top_p", [0.0], "`top_p` is out of range. Expected above 0 and at most 1"),
        ("top_p", [1.5], "`top_p` is out of range"),
    ],
)
def test_settings_out_of_range_are_refused(name, values, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        checked_option(name, tf.constant(values), ROWS, 11)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("max_length", [1, 11, 5]),
        ("length_penalty", [-1.0, 0.0, 2.0]),
        ("temperature", [0.01, 100.0, 1.0]),
        ("top_k", [0, 1, 1000]),
        ("top_p", [1e-6, 1.0, 0.5]),
        ("seed", [-5, 0, 2**31 - 1]),
    ],
)
def test_settings_in_range_are_taken_as_they_are(name, values):
    values = tf.constant(values)
    assert checked_option(name, values, ROWS, 11).numpy().tolist() == values.numpy().tolist()


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("max_length", [1, 2, 57])
def test_verification_tries_allowed_values(name, max_length):
    probes = OPTIONS[name].probes_of(max_length)
    assert len(probes) > 0
    if OPTIONS[name].is_allowed is not None:
        values = tf.constant(list(probes), OPTIONS[name].dtype)
        checked_option(name, values, values, max_length)
