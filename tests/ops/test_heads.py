"""Heads: cut, masked and kept between steps."""

import numpy as np
import pytest

from keras_attn.ops.heads import (
    Masks,
    aligned_positions,
    both_masks,
    four_axes,
    keep_of_heads,
    merge_hypotheses,
    split_heads,
    zero_unseen,
)

B, T, S, HEADS = 2, 3, 5, 7


def test_split_heads():
    tensor = np.arange(B * T * HEADS * 11).reshape(B, T, HEADS, 11)
    split = split_heads(tensor.reshape(B, T, -1), HEADS)
    np.testing.assert_array_equal(split, tensor.transpose(0, 2, 1, 3))


def test_positions_end_together():
    query_positions, key_positions = aligned_positions(T, S)
    assert np.asarray(query_positions).tolist() == [2, 3, 4]
    assert np.asarray(key_positions).tolist() == [0, 1, 2, 3, 4]


def test_hypotheses_become_rows():
    cache = np.arange(B * 3 * HEADS * 4 * 5).reshape(B, 3, HEADS, 4, 5)
    merged = np.asarray(merge_hypotheses(cache))
    np.testing.assert_array_equal(merged, cache.reshape(B * 3, HEADS, 4, 5))


def test_no_mask_at_all():
    assert keep_of_heads(np.zeros((B, T, 1)), np.zeros((B, S, 1)), Masks()) is None
    assert both_masks(None, None) is None


@pytest.mark.parametrize("shape", [(T, S), (B, T, S), (B, 1, S), (B, HEADS, T, S), (1, HEADS, T, 1)])
@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_every_rank(shape, causal, rng):
    query_mask, attention_mask = rng.random((B, T)) < 0.7, rng.random(shape) < 0.7
    keep = keep_of_heads(
        np.zeros((B, T, 1)), np.zeros((B, S, 1)), Masks(query_mask, None, attention_mask, causal)
    )
    wide = attention_mask[:, None] if len(shape) == 3 else attention_mask
    expected = query_mask[:, None, :, None] & wide & (np.tri(T, S, S - T, dtype=bool) | (not causal))
    shape = (B, HEADS, T, S)
    np.testing.assert_array_equal(np.broadcast_to(keep, shape), np.broadcast_to(expected, shape))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((S,), (1, 1, 1, S)), ((T, S), (1, 1, T, S)), ((B, 1, S), (B, 1, 1, S)), ((B, 7, T, S), (B, 7, T, S))],
)
def test_four_axes(shape, expected):
    assert four_axes(np.ones(shape, bool)).shape == expected
    assert four_axes(None) is None


def test_zero_unseen_in_some_heads_alone():
    tensor, seen = np.ones((1, 2, 1, 3), "float32"), np.array([[[[True]], [[False]]]])
    assert np.asarray(zero_unseen(tensor, seen)).tolist() == [[[[1, 1, 1]], [[0, 0, 0]]]]
    assert zero_unseen(tensor, None) is tensor
