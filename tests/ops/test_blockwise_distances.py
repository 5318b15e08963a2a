"""Terms by distance: rows of a table where queries and keys have that distance."""

import numpy as np
import pytest

from keras_attn.ops.blockwise_blocks import Blocks
from keras_attn.ops.blockwise_distances import DistanceTerms, skew, unskew

B, HEADS, T, S, E = 2, 3, 7, 11, 5


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (3, 5), (5, 3)])
def test_skew_by_its_formula(rng, shape):
    rows, columns = shape
    tensor = rng.normal(size=(B, HEADS, rows, rows + columns))
    skewed = np.asarray(skew(tensor, columns))
    for r, c in np.ndindex(shape):
        np.testing.assert_array_equal(
            skewed[..., r, c], tensor[..., r, c - r + rows - 1].astype(skewed.dtype)
        )


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (3, 5)])
def test_unskew_is_the_transpose_of_skew(rng, shape):
    """<skew(x), y> = <x, unskew(y)>."""
    rows, columns = shape
    x = rng.normal(size=(B, HEADS, rows, rows + columns)).astype("float32")
    y = rng.normal(size=(B, HEADS, *shape)).astype("float32")
    one, other = np.sum(skew(x, columns) * y), np.sum(x * unskew(y))
    assert float(one) == pytest.approx(float(other), rel=1e-4)


@pytest.mark.parametrize("size", [2, 3, 13])
def test_tiles_of_a_bias_are_cut_from_the_whole(rng, size):
    blocks = Blocks(T, S, size, False, False)
    table = rng.normal(size=(T + S - 1, HEADS)).astype("float32")
    terms = DistanceTerms(blocks, {"bias": table})
    query = np.zeros((B, HEADS, blocks.rows, E), "float32")
    for i, j in np.ndindex(blocks.query_blocks, blocks.key_blocks):
        tile = np.asarray(terms.logits(i, j, query))[0]
        for r, c in np.ndindex(blocks.rows, blocks.columns):
            t, s = i * blocks.rows + r, j * blocks.columns + c
            if t < T and s < S:  # query t stands at t + S - T
                np.testing.assert_array_equal(tile[:, r, c], table[s - (t + S - T) + S - 1])


def test_without_tables_there_is_nothing_to_add(rng):
    terms = DistanceTerms(Blocks(T, S, 3, False, False), {})
    rows = np.zeros((B, HEADS, 3, E), "float32")
    assert terms.logits(0, 0, rows) is None
    assert terms.context(0, 0, rows) is None
    assert terms.d_weights(0, 0, rows) is None
    assert terms.d_query(0, 0, rows) is None
    assert terms.no_gradients() == terms.add_gradients({}, 0, 0, rows, rows, rows, rows) == {}
