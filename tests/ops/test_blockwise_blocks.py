"""Blocks: which tiles a causal mask leaves out, and which need no mask at all."""

import numpy as np
import pytest

from keras_attn.ops.blockwise_blocks import Blocks
from keras_attn.ops.masks import causal_mask

B, HEADS, E = 2, 3, 5


def tiles_of(num_queries, num_keys, size, causal):
    """Every tile's place in the whole mask, padded with False: a dictionary of boolean arrays."""
    blocks = Blocks(num_queries, num_keys, size, causal, masked=False)
    shape = (blocks.query_blocks * blocks.rows, blocks.key_blocks * blocks.columns)
    keep = np.zeros(shape, bool)
    keep[:num_queries, :num_keys] = causal_mask(num_queries, num_keys)[0] if causal else True
    real = np.arange(shape[0]) < num_queries
    cut = {
        (i, j): (
            slice(i * blocks.rows, (i + 1) * blocks.rows),
            slice(j * blocks.columns, (j + 1) * blocks.columns),
        )
        for i in range(blocks.query_blocks)
        for j in range(blocks.key_blocks)
    }
    return blocks, {place: (keep[cut[place]], real[cut[place][0]]) for place in cut}


@pytest.mark.parametrize("sizes", [(7, 7), (5, 11), (11, 5), (1, 7)])
@pytest.mark.parametrize("size", [1, 3, 17])
@pytest.mark.parametrize("causal", [False, True])
def test_ranges_against_the_whole_mask(sizes, size, causal):
    blocks, tiles = tiles_of(*sizes, size, causal)
    for (i, j), (keep, real) in tiles.items():
        plain, end = (int(x) for x in blocks.key_ranges(np.int32(i)))
        first, plain_from = (int(x) for x in blocks.query_ranges(np.int32(j)))
        seen = i >= first
        if keep.any():  # no tile with a kept place is left out
            assert seen
            assert j < end
        for unmasked in (j < plain, seen and i >= plain_from):
            assert not unmasked or keep[real].all()
        np.testing.assert_array_equal(np.broadcast_to(blocks.keep(i, j, []), keep.shape)[real], keep[real])


def test_a_causal_square_of_blocks_by_hand():
    """Four blocks of three: each sees those before it without a mask, and itself with one."""
    blocks = Blocks(12, 12, 3, use_causal_mask=True, masked=False)
    assert [tuple(map(int, blocks.key_ranges(np.int32(i)))) for i in range(4)] == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
    ]
    assert [tuple(map(int, blocks.query_ranges(np.int32(j)))) for j in range(4)] == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
    ]


def test_other_masks_are_for_every_tile():
    blocks = Blocks(12, 12, 3, use_causal_mask=True, masked=True)
    assert [int(blocks.key_ranges(np.int32(i))[0]) for i in range(4)] == [0] * 4
    assert [int(blocks.query_ranges(np.int32(j))[1]) for j in range(4)] == [4] * 4


@pytest.mark.parametrize("length", [1, 6, 7])
def test_join_undoes_split(length, rng):
    tensor = rng.normal(size=(B, HEADS, length, E)).astype("float32")
    blocks = Blocks(length, 11, 3, False, False)
    split = blocks.split_queries(tensor)
    assert split.shape == (-(-length // 3), B, HEADS, min(3, length), E)
    np.testing.assert_array_equal(blocks.join_queries(split), tensor)
