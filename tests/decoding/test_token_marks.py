"""Lists of ids as marks: by hand and in NumPy."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding.token_marks import marked_tokens


def test_by_hand():
    ids = tf.constant([[[3, 0, 3], [1, 1, 2]]])
    assert marked_tokens(ids, None, 4).numpy().astype(int).tolist() == [[[1, 0, 0, 1], [0, 1, 1, 0]]]
    counts = tf.constant([[[False, True, False], [True, False, False]]])
    assert marked_tokens(ids, counts, 4).numpy().astype(int).tolist() == [[[1, 0, 0, 0], [0, 1, 0, 0]]]


def test_against_numpy(rng):
    ids, counts = rng.integers(0, 11, (3, 5, 7)), rng.uniform(size=(3, 5, 7)) < 0.5
    expected = (np.eye(11, dtype=bool)[ids] & counts[..., None]).any(axis=2)
    graph = tf.function(
        marked_tokens,
        input_signature=[
            tf.TensorSpec([None, None, None], tf.int32),
            tf.TensorSpec([None, None, None], tf.bool),
            tf.TensorSpec([], tf.int32),
        ],
    )
    np.testing.assert_array_equal(graph(ids.astype(np.int32), counts, 11), expected)


def test_nothing_is_marked_by_nothing():
    assert not marked_tokens(tf.zeros([2, 3, 0], tf.int32), None, 5).numpy().any()
    assert marked_tokens(tf.zeros([0, 3, 7], tf.int32), None, 5).shape == (0, 3, 5)
