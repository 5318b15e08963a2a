"""The greedy choice and its log-probabilities."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import Choices, Greedy


def choose(logits):
    return Greedy().choose(Choices(logits, logits))


def test_by_hand():
    tokens, log_probs = choose(tf.constant(np.log([[[1.0, 5.0, 2.0]], [[4.0, 1.0, 3.0]]]), tf.float32))
    assert tokens.dtype == tf.int32
    assert tokens.numpy().tolist() == [[1], [0]]
    np.testing.assert_allclose(log_probs, np.log([[5 / 8], [4 / 8]]), rtol=1e-6)


def test_log_probs_are_those_of_the_full_softmax(rng):
    logits = tf.constant(rng.normal(0, 5, (7, 1, 11)), tf.float32)
    tokens, log_probs = choose(logits)
    expected = tf.nn.log_softmax(logits)
    np.testing.assert_array_equal(tokens, np.argmax(expected, axis=-1))
    np.testing.assert_allclose(log_probs, np.max(expected, axis=-1), rtol=1e-4, atol=1e-6)


def test_the_first_of_equals_wins():
    tokens, log_probs = choose(tf.zeros([1, 1, 3]))
    assert int(tokens[0, 0]) == 0
    assert float(log_probs[0, 0]) == pytest.approx(-np.log(3))


def test_huge_logits_stay_finite():
    tokens, log_probs = choose(tf.constant([[[-1e30, 1e30, 0.0]]]))
    assert (int(tokens[0, 0]), float(log_probs[0, 0])) == (1, 0.0)
