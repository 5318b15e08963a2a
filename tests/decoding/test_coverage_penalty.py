"""Coverage penalty by hand and in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import coverage_penalty


def test_by_hand():
    coverage = tf.constant([[[0.5, 1.7, 0.25, 0.0], [1.0, 1.0, 1.0, 0.5]]])
    mask = tf.constant([[True, True, True, False]])
    np.testing.assert_allclose(coverage_penalty(coverage, mask), [[np.log(0.125), 0.0]], rtol=1e-6)


def test_a_place_that_was_never_looked_at_costs_much_but_no_infinity():
    penalty = coverage_penalty(tf.constant([[[0.0, 1.0]]]), tf.constant([[True, True]]))
    assert float(penalty[0, 0]) == pytest.approx(np.log(1e-9), rel=1e-6)


def test_against_numpy(rng):
    coverage = rng.uniform(0, 2, (3, 5, 7))
    mask = rng.uniform(size=(3, 7)) < 0.7
    expected = (np.log(np.minimum(coverage, 1)) * mask[:, None]).sum(axis=-1)
    np.testing.assert_allclose(coverage_penalty(tf.constant(coverage, tf.float32), mask), expected, rtol=1e-5)
