"""Lengths in proportion to the source, by hand and in the loop."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Greedy, RelativeLength, SuppressedTokens, decode

LENGTHS = tf.constant([0, 3, 10])


def test_by_hand():
    assert RelativeLength(1.5)(LENGTHS).numpy().tolist() == [0, 4, 15]
    assert RelativeLength(1.5, 2)(LENGTHS).numpy().tolist() == [2, 6, 17]
    assert RelativeLength(1.5, 2, at_most=7)(LENGTHS).numpy().tolist() == [2, 6, 7]
    assert RelativeLength(1.5)(LENGTHS).dtype == tf.int32


def test_a_setting_for_every_row():
    relative = RelativeLength(
        tf.constant([1.0, 2.0, 0.5]), tf.constant([7, 0, 1]), at_most=tf.constant([5, 9, 9])
    )
    assert relative(LENGTHS).numpy().tolist() == [5, 6, 6]


def test_as_the_largest_length(remembering, rng):
    """Rows that never end are cut where their sources say; pads do not count."""
    decoder = remembering(rng.normal(size=(4, 11, 7)))
    source = np.array([[1, 9, 9, 0], [2, 0, 0, 0], [3, 9, 9, 9]], np.int32)
    for strategy in (Greedy(), BeamSearch(3)):
        limits = RelativeLength(2, 1, at_most=8)
        decoded = decode(
            decoder,
            source,
            start_id=1,
            end_id=2,
            max_length=limits,
            strategy=strategy,
            processors=[SuppressedTokens([2])],
        )
        assert decoded.lengths[:, 0].numpy().tolist() == [7, 3, 8]
        assert not decoded.finished.numpy().any()
        for row, length in enumerate([7, 3, 8]):
            assert not decoded.tokens[row, 0, length:].numpy().any()
