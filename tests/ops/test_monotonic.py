"""Monotonic alignments: by hand, against plain loops, against all ways to walk, and their gradients."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.ops.monotonic import (
    hard_monotonic_alignment,
    parallel_monotonic_alignment,
    recursive_monotonic_alignment,
)

SOFT = [recursive_monotonic_alignment, parallel_monotonic_alignment]


def recursion(probability, previous):
    """`weights[s] = p[s] sum_{j<=s} previous[j] prod_{j<=i<s} (1 - p[i])`, term by term."""
    weights = np.zeros_like(probability)
    for index in np.ndindex(probability.shape[:-1]):
        for s, j in product(range(probability.shape[-1]), repeat=2):
            if j <= s:
                walked = np.prod(1 - probability[index][j:s])
                weights[index][s] += probability[index][s] * previous[index][j] * walked
    return weights


def walk(stops, previous):
    """Algorithm 1 of the paper: from the last place on, the first that stops."""
    weights = np.zeros(stops.shape)
    for index in np.ndindex(stops.shape[:-1]):
        if previous[index].any():
            for s in range(previous[index].argmax(), stops.shape[-1]):
                if stops[index][s]:
                    weights[index][s] = 1
                    break
    return weights


@pytest.mark.parametrize("align", SOFT)
def test_by_hand(align):
    weights = align(np.float32([[[0.5, 0.25, 1.0]]]), np.float32([[[1.0, 0.0, 0.0]]]))
    np.testing.assert_allclose(weights, [[[0.5, 0.125, 0.375]]], rtol=1e-6)
    weights = align(np.float32([[[0.5, 0.25, 0.5]]]), np.float32([[[0.5, 0.25, 0.25]]]))
    np.testing.assert_allclose(weights, [[[0.25, 0.125, 0.3125]]], rtol=1e-6)


@pytest.mark.parametrize("align", SOFT)
def test_against_the_sum_over_all_ways(align, rng):
    probability = rng.uniform(0.05, 0.95, (2, 3, 7)).astype("float32")
    previous = rng.dirichlet(np.ones(7), (2, 3)).astype("float32")
    np.testing.assert_allclose(
        align(probability, previous), recursion(probability, previous), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("align", SOFT)
def test_the_previous_weights_broadcast(align, rng):
    probability = rng.uniform(0, 1, (2, 3, 7)).astype("float32")
    previous = rng.dirichlet(np.ones(7), (2, 1)).astype("float32")
    np.testing.assert_allclose(
        align(probability, previous), align(probability, np.repeat(previous, 3, axis=1)), rtol=1e-6
    )


def test_certain_stops_stay_exact_in_the_recursion():
    """Where the closed form loses what lies behind a certain stop."""
    probability, previous = np.float32([[[1.0, 1.0, 0.5, 1.0]]]), np.float32([[[0.0, 0.5, 0.5, 0.0]]])
    expected = [[[0.0, 0.5, 0.25, 0.25]]]
    np.testing.assert_allclose(recursive_monotonic_alignment(probability, previous), expected)
    assert np.isfinite(parallel_monotonic_alignment(probability, previous)).all()


@pytest.mark.parametrize("align", SOFT)
@pytest.mark.parametrize("size", [0.0, 1.0])
def test_ends_of_the_range_give_finite_weights_and_gradients(align, size):
    probability = tf.fill((1, 1, 7), size)
    previous = tf.one_hot([[2]], 7)
    with tf.GradientTape() as tape:
        tape.watch([probability, previous])
        loss = tf.reduce_sum(align(probability, previous) * tf.range(7.0))
    assert np.isfinite(loss)
    assert all(np.isfinite(x).all() for x in tape.gradient(loss, [probability, previous]))


@pytest.mark.parametrize("align", SOFT)
def test_gradients_against_finite_differences(align, rng):
    probability = tf.Variable(rng.uniform(0.1, 0.9, (1, 2, 5)))
    previous = tf.Variable(rng.dirichlet(np.ones(5), (1, 2)))
    ramp = tf.range(10, dtype=tf.float64)

    def loss():
        return tf.reduce_sum(tf.reshape(align(probability.value(), previous.value()), [-1]) * ramp)

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(
        (probability, previous), tape.gradient(value, [probability, previous]), strict=True
    ):
        direction = tf.constant(rng.normal(size=variable.shape))
        variable.assign_add(1e-6 * direction)
        above = loss()
        variable.assign_sub(2e-6 * direction)
        difference = (above - loss()) / 2e-6
        variable.assign_add(1e-6 * direction)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(float(difference), rel=1e-5)


def test_hard_by_brute_force():
    """Every pattern of stops over five places, from every place and from none."""
    stops = np.array(list(product([False, True], repeat=5)))  # [32, 5]
    starts = np.vstack([np.eye(5), np.zeros(5)])  # [6, 5]
    stops = np.repeat(stops[:, None], len(starts), axis=1)
    previous = np.repeat(starts[None], len(stops), axis=0).astype("float32")
    weights = hard_monotonic_alignment(stops, previous)
    np.testing.assert_array_equal(weights, walk(stops, previous))
    assert weights.dtype == tf.float32


@pytest.mark.parametrize("align", SOFT)
def test_soft_equals_hard_where_the_probabilities_are_certain(align, rng):
    """With the start at the first place, where the closed form is exact too."""
    stops = rng.random((2, 11, 7)) < 0.3
    previous = np.broadcast_to(np.eye(7, dtype="float32")[:1], (2, 11, 7))
    np.testing.assert_allclose(
        align(stops.astype("float32"), previous), hard_monotonic_alignment(stops, previous), atol=1e-6
    )
