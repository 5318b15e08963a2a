"""Values for every row: repeated, refused, and ids that nothing but their lengths masks."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.export.service.rows import given_lengths, masked_ids, of_each_row

ROWS = tf.zeros([3, 5])


def test_one_value_is_for_all_rows_and_many_are_one_for_each():
    assert of_each_row("x", tf.constant([7]), ROWS).numpy().tolist() == [7, 7, 7]
    assert of_each_row("x", tf.constant([7, 8, 9]), ROWS).numpy().tolist() == [7, 8, 9]
    assert of_each_row("x", tf.constant(["a"]), tf.zeros([0, 2])).shape == (0,)


@pytest.mark.parametrize("size", [0, 2, 4])
def test_another_number_of_values_is_refused(size):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"`x` does not fit the batch. Expected one value"
    ):
        of_each_row("x", tf.zeros([size]), ROWS)


def test_ids_by_hand():
    ids = tf.constant([[5, 6, 7, 7], [8, 8, 8, 8], [9, 0, 99, -3]])
    masked = masked_ids(ids, tf.constant([2, 0, 1]), 11, 4)
    assert masked.numpy().tolist() == [[5, 6, 2], [2, 0, 0], [9, 2, 0]]


@given(st.data())
def test_nothing_behind_the_lengths_is_looked_at(data):
    lengths = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    width = max(lengths) + data.draw(st.integers(0, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    ids = rng.integers(3, 13, (len(lengths), width)).astype(np.int32)
    expected = [
        row[:n].tolist() + [2] + [0] * (max(lengths) - n) for row, n in zip(ids, lengths, strict=True)
    ]
    for row, length in enumerate(lengths):
        ids[row, length:] = rng.integers(-50, 50, width - length)
    assert masked_ids(tf.constant(ids), tf.constant(lengths), 13, 5).numpy().tolist() == expected


@pytest.mark.parametrize(
    ("ids", "lengths", "message"),
    [
        ([[5, 6]], [3], "`lengths` does not fit `ids`. Expected 0 to the number of columns"),
        ([[5, 6]], [-1], "`lengths` does not fit `ids`"),
        ([[5] * 5], [5], "`ids` is too long: expected at most 4 tokens"),
        ([[5, 0]], [2], r"`ids` holds what is no token. Expected 3 to 10. Received:'?\s+0"),
        ([[5, 2]], [2], "`ids` holds what is no token"),
        ([[11, 5]], [1], r"`ids` holds what is no token. Expected 3 to 10. Received:'?\s+11"),
    ],
)
def test_ids_that_cannot_be_are_refused(ids, lengths, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        masked_ids(tf.constant(ids), tf.constant(lengths), 11, 4)


def test_lengths_of_a_mask():
    assert given_lengths(tf.constant([[True, True, False], [False] * 3])).numpy().tolist() == [2, 0]
