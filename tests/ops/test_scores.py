"""Masked softmax on every dtype and at the ends of its range; additive logits; the weighted sum."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.ops.scores import (
    additive_logits,
    dot_logits,
    grouped_dot_logits,
    grouped_weighted_sum,
    masked_softmax,
    weighted_sum,
)

from ..bounds import assert_close

DTYPES = ["float32", "bfloat16", "float16"]


def weights_and_gradient(logits, keep, dtype):
    """Weights, and the gradient of a weighting of them with respect to the logits."""
    logits = tf.constant(logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        weights = masked_softmax(logits, keep)
        loss = tf.reduce_sum(weights * tf.range(1.0, 1.0 + logits.shape[-1]))
    return weights.numpy(), tf.cast(tape.gradient(loss, logits), tf.float32).numpy()


def test_by_hand():
    logits = np.log([[1.0, 3.0, 100.0]])
    weights = masked_softmax(logits, np.array([[True, True, False]]))
    np.testing.assert_allclose(weights, [[0.25, 0.75, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_mask_equals_tensorflow(dtype, rng):
    logits = tf.constant(rng.normal(0, 3, (2, 3, 5)), dtype)
    weights = masked_softmax(logits)
    assert weights.dtype == tf.float32
    np.testing.assert_allclose(weights, tf.nn.softmax(tf.cast(logits, tf.float32)), rtol=1e-6)


def test_a_mask_that_keeps_everything_changes_nothing(rng):
    logits = rng.normal(0, 3, (2, 3, 5)).astype("float32")
    np.testing.assert_allclose(
        masked_softmax(logits, np.ones((2, 1, 5), bool)), tf.nn.softmax(logits), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_places_are_exactly_zero_and_the_rest_is_softmax_of_the_rest(dtype, rng):
    logits = tf.constant(rng.normal(0, 3, (2, 3, 7)), dtype)
    keep = rng.random((2, 3, 7)) < 0.6
    keep[..., 0] = True
    weights = masked_softmax(logits, keep).numpy()
    assert (weights[~keep] == 0).all()
    only_kept = tf.where(keep, tf.cast(logits, tf.float32), -np.inf)
    np.testing.assert_allclose(weights, tf.nn.softmax(only_kept), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
def test_fully_masked_row_is_zero_with_zero_gradient(dtype, size):
    logits = np.array([[size, -size, 1.0], [1.0, 2.0, 3.0]])
    weights, gradient = weights_and_gradient(logits, np.array([[False] * 3, [True] * 3]), dtype)
    assert (weights[0] == 0).all()
    assert (gradient[0] == 0).all()
    assert weights[1].sum() == pytest.approx(1, rel=1e-6)
    assert np.isfinite(gradient[1]).all()
    assert (gradient[1] != 0).any()


@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
@pytest.mark.parametrize("kept_sign", [1, -1])
def test_huge_logits_stay_finite(size, kept_sign):
    """Also where the kept logits are far below the masked ones."""
    logits = np.array([[kept_sign * size, kept_sign * size, -kept_sign * size]])
    weights, gradient = weights_and_gradient(logits, np.array([[True, True, False]]), "float32")
    assert_close(weights[:, :2], 0.5, 2)
    assert_close(gradient[:, :2], [[-0.25, 0.25]], 2)
    assert (weights[0, 2], gradient[0, 2]) == (0, 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_huge_half_precision_logits_stay_finite(dtype):
    weights, gradient = weights_and_gradient(
        [[1e4, 1e4, -1e4, 6e4]], np.array([[True, True, True, False]]), dtype
    )
    assert_close(weights[:, :2], 0.5, 2)
    assert_close(gradient[:, :2], [[-0.25, 0.25]], 2)
    assert (weights[0, 2:] == 0).all()
    assert (gradient[0, 2:] == 0).all()


def test_additive_logits_against_loops(rng):
    query, key, vector = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 7)), rng.normal(size=7)
    logits = additive_logits(*(tf.constant(x) for x in (query, key, vector)))
    assert logits.shape == (2, 3, 5)
    for b, t, s in np.ndindex(2, 3, 5):
        assert float(logits[b, t, s]) == pytest.approx(vector @ np.tanh(query[b, t] + key[b, s]), rel=1e-9)


def test_weighted_sum_by_hand_and_in_the_dtype_of_the_value():
    weights = tf.constant([[[0.25, 0.75]]])
    value = tf.constant([[[4.0, 8.0, 0.0], [0.0, 4.0, 8.0]]], tf.bfloat16)
    context = weighted_sum(weights, value)
    assert context.dtype == tf.bfloat16
    assert tf.cast(context, tf.float32).numpy().tolist() == [[[1.0, 5.0, 6.0]]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_place_without_mask_has_weight_one_and_no_warning(dtype):
    weights, gradient = weights_and_gradient([[[7.0]], [[-3.0]]], None, dtype)
    assert_close(weights, 1, 1)
    assert_close(gradient, 0, 1, size=1)


@pytest.mark.parametrize("key_heads", [1, 2, 3, 6])
def test_heads_that_share_keys_and_values_against_loops(key_heads, rng):
    query, weights = rng.normal(size=(2, 6, 3, 7)), rng.random((2, 6, 3, 5))
    key, value = rng.normal(size=(2, key_heads, 5, 7)), rng.normal(size=(2, key_heads, 5, 11))
    logits = grouped_dot_logits(*(tf.constant(x) for x in (query, key)))
    context = grouped_weighted_sum(*(tf.constant(x) for x in (weights, value)))
    assert logits.shape == (2, 6, 3, 5)
    assert context.shape == (2, 6, 3, 11)
    for b, h, t in np.ndindex(2, 6, 3):
        group = h // (6 // key_heads)
        np.testing.assert_allclose(logits[b, h, t], key[b, group] @ query[b, h, t], rtol=1e-9)
        np.testing.assert_allclose(context[b, h, t], weights[b, h, t] @ value[b, group], rtol=1e-9)


def test_grouped_scores_of_an_empty_batch():
    logits = grouped_dot_logits(tf.zeros((0, 6, 3, 7)), tf.zeros((0, 2, 5, 7)))
    assert logits.shape == (0, 6, 3, 5)
    assert grouped_weighted_sum(logits, tf.zeros((0, 2, 5, 11))).shape == (0, 6, 3, 11)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 5, 1), (2, 1, 5, 7)])
def test_additive_logits_with_a_term_against_loops(shape, rng):
    query, key, vector = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 7)), rng.normal(size=7)
    term = rng.normal(size=shape)
    logits = additive_logits(*(tf.constant(x) for x in (query, key, vector, term)))
    everywhere = np.broadcast_to(term, (2, 3, 5, 7))
    for b, t, s in np.ndindex(2, 3, 5):
        expected = vector @ np.tanh(query[b, t] + key[b, s] + everywhere[b, t, s])
        assert float(logits[b, t, s]) == pytest.approx(expected, rel=1e-9)


def test_dot_logits_by_hand():
    logits = dot_logits(tf.constant([[[1.0, 2.0]]]), tf.constant([[[3.0, 4.0], [5.0, -1.0]]]))
    assert logits.numpy().tolist() == [[[11.0, 3.0]]]
