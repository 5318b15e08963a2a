"""The coverage loss: by hand, against loops, with masked queries."""

import numpy as np
import pytest
from keras import ops

from keras_attn.losses import coverage_loss

B, T, S = 2, 5, 7


def test_by_hand():
    # The second query takes 0.5 of what the first had; the third min(0.25, 0.5) and min(0.75, 1.5).
    weights = np.array([[[0.0, 1.0], [0.5, 0.5], [0.25, 0.75]]])
    np.testing.assert_allclose(coverage_loss(weights), [0.5 + 0.25 + 0.75])


@pytest.mark.parametrize("weights", [np.eye(T), np.zeros((T, T))])
def test_keys_each_seen_once_cost_nothing(weights):
    np.testing.assert_array_equal(coverage_loss(weights[None]), [0.0])


def test_the_same_key_again_and_again_costs_one_a_query():
    weights = np.zeros((B, T, S))
    weights[:, :, 3] = 1
    np.testing.assert_array_equal(coverage_loss(weights), [T - 1.0] * B)


def test_one_query_costs_nothing():
    np.testing.assert_array_equal(coverage_loss(np.ones((B, 1, S)) / S), [0.0] * B)


def test_against_loops(rng):
    weights = rng.dirichlet(np.ones(S), (B, T))
    expected = np.zeros(B)
    for b in range(B):
        covered = np.zeros(S)
        for t in range(T):
            expected[b] += np.minimum(weights[b, t], covered).sum()
            covered += weights[b, t]
    np.testing.assert_allclose(coverage_loss(weights), expected, rtol=1e-5)


def test_a_masked_query_neither_costs_nor_covers(rng):
    weights = rng.dirichlet(np.ones(S), (B, T))
    keep = np.array([[True, False, True, True, False]] * B)
    np.testing.assert_allclose(coverage_loss(weights, keep), coverage_loss(weights[:, [0, 2, 3]]), rtol=1e-5)


def test_half_precision_is_summed_in_float32():
    weights = ops.cast(np.full((1, 2, 4099), 1 / 4096), "bfloat16")  # a sum that bfloat16 cannot hold
    np.testing.assert_allclose(coverage_loss(weights), [4099 / 4096], rtol=1e-5)
