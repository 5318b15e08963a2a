"""Lengths up to the end token."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding.results import count_to_end


def test_by_hand():
    tokens = tf.constant([[[2, 0, 0], [3, 2, 2], [3, 0, 4], [0, 0, 2]]])
    assert count_to_end(tokens, 2).numpy().tolist() == [[1, 2, 3, 3]]


def test_of_no_tokens():
    assert count_to_end(np.zeros((3, 5, 0), np.int32), 2).numpy().tolist() == [[0] * 5] * 3
