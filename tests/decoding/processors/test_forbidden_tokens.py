"""Tokens that are never written."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Greedy, Sampling, SuppressedTokens, decode

SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def test_by_hand(partial):
    given = partial(np.zeros((2, 3, 1)), 5)
    assert SuppressedTokens([0, 3]).forbid(given).numpy().tolist() == [[[True, False, False, True, False]]]
    of_rows = SuppressedTokens([[0, 3], [4, -1]]).forbid(given)
    assert of_rows.numpy().tolist() == [
        [[True, False, False, True, False]],
        [[False, False, False, False, True]],
    ]
    assert not SuppressedTokens(np.zeros([0])).forbid(given).numpy().any()


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(4, 4), Sampling(seed=3, num_samples=5)])
def test_they_are_not_written(remembering, rng, strategy):
    decoder = remembering(rng.normal(size=(4, 11, 7)))
    ids = tf.constant([[3, 4], [5, -1], [0, 6]])
    free = decode(decoder, SOURCE, start_id=1, end_id=2, max_length=9, strategy=strategy)
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=9,
        strategy=strategy,
        processors=[SuppressedTokens(ids)],
    )
    for row, of_row in enumerate([{3, 4}, {5}, {0, 6}]):
        of_free, of_decoded = (
            {token for n, length in enumerate(x.lengths[row]) for token in x.tokens[row, n, :length].numpy()}
            for x in (free, decoded)
        )
        assert of_free & of_row
        assert not of_decoded & of_row


def test_another_rank():
    with pytest.raises(ValueError, match=r"`ids` must be a list of ids.*Received: \(1, 1, 1\)"):
        SuppressedTokens([[[3]]])
