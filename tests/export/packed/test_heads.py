"""PackedHeads: as reshapes and transpositions, for one position, several, and a number that is not known."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.packed.heads import PackedHeads

BATCH, H, E = 3, 5, 7


def compute(rows, length, is_known):
    """Heads, heads with the positions last, and the rows again, in a graph."""

    @tf.function
    def results(rows, length_now):
        heads = PackedHeads(tf.shape(rows)[0] // length_now, length if is_known else length_now, H)
        split = heads.split(rows)
        return split, heads.split_transposed(rows), heads.join(split)

    return [result.numpy() for result in results(tf.constant(rows), tf.constant(length))]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_splits_and_joins(rng, length, is_known):
    rows = rng.normal(size=(BATCH * length, H * E)).astype("float32")
    expected = rows.reshape(BATCH, length, H, E)

    split, transposed, joined = compute(rows, length, is_known)

    np.testing.assert_array_equal(split, expected.transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(transposed, expected.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(joined, rows)


def test_one_position_moves_nothing():
    graph = tf.Graph()
    with graph.as_default():
        heads = PackedHeads(tf.constant(BATCH), 1, H)
        heads.join(heads.split(tf.zeros([BATCH, H * E])))
    assert not {"GatherV2", "Transpose"} & {operation.type for operation in graph.get_operations()}
