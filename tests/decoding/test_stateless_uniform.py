"""Random numbers: uniform, unlike each other, and the same again for the same seed."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding.sampling import stateless_uniform


def chi_square(observed):
    """Against equal shares."""
    expected = observed.sum() / len(observed)
    return ((observed - expected) ** 2 / expected).sum()


def test_uniform_numbers():
    numbers = stateless_uniform(tf.constant([[3], [4]], tf.int64), tf.constant(7), 20011).numpy()
    assert numbers.shape == (2, 20011)
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    for row in numbers:
        observed = np.histogram(row, bins=100, range=(0, 1))[0]
        assert chi_square(observed) < 148.2  # the 99.9 % quantile with 99 degrees of freedom
    assert abs(np.corrcoef(numbers)[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[0, 1:], numbers[0, :-1])[0, 1]) < 0.03
    np.testing.assert_array_equal(stateless_uniform(4, tf.constant(7), 20011)[0], numbers[1])


def test_neighbouring_seeds_and_steps_are_not_alike():
    seeds = tf.range(40, dtype=tf.int64)[:, None]
    numbers = np.array([stateless_uniform(seeds, tf.constant(position), 1) for position in range(41)])
    assert len(np.unique(numbers)) == 40 * 41
    assert chi_square(np.histogram(numbers, bins=20, range=(0, 1))[0]) < 43.8  # 19 degrees
