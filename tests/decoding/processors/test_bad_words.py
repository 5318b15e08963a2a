"""Sequences that are never written: by hand, against plain Python, and in the loop."""

import numpy as np
import pytest

from keras_attn.decoding import BadWords, BeamSearch, Greedy, Sampling, decode

SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def plain(tokens, sequences, size):
    """Boolean [V]: whether token v would complete a sequence."""
    return [any([*tokens, v][-len(words) :] == words for words in sequences) for v in range(size)]


@pytest.mark.parametrize(
    ("written", "forbidden"),
    [([], {0}), ([3], {0, 4}), ([4], {0}), ([3, 4], {0, 5}), ([4, 3, 4], {0, 5}), ([3, 4, 3], {0, 4})],
)
def test_by_hand(partial, written, forbidden):
    received = BadWords([[0], [3, 4], [3, 4, 5]]).forbid(partial([[written]], 7))
    assert set(np.flatnonzero(received[0, 0])) == forbidden


def test_ids_that_no_vocabulary_has(partial):
    for sequences in ([[3, -1]], [[-1, 3]]):
        with pytest.raises(ValueError, match="`sequences` holds what is no id"):
            BadWords(sequences)
    with pytest.raises(ValueError, match="at least 0 and below 7, the size of the vocab"):
        BadWords([[7]]).forbid(partial([[[]]], 7))


def test_against_plain_python(partial, rng):
    sequences = [rng.integers(0, 3, rng.integers(1, 5)).tolist() for _ in range(7)]
    processor = BadWords(sequences)
    for length in range(9):
        tokens = rng.integers(0, 3, (5, 2, length))
        expected = [[plain(row.tolist(), sequences, 4) for row in rows] for rows in tokens]
        np.testing.assert_array_equal(processor.forbid(partial(tokens, 4)), expected)


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(4, 4), Sampling(seed=3, num_samples=5)])
def test_they_are_not_written(remembering, rng, strategy):
    decoder = remembering(rng.normal(size=(4, 11, 5)))
    words = [[3, 4], [4, 0], [0, 0, 3]]

    def found(decoded):
        written = [
            tokens[:length]
            for tokens, length in zip(
                decoded.tokens.numpy().reshape(-1, decoded.tokens.shape[2]).tolist(),
                decoded.lengths.numpy().reshape(-1).tolist(),
                strict=True,
            )
        ]
        return [
            word
            for tokens in written
            for word in words
            for t in range(len(tokens))
            if tokens[t : t + len(word)] == word
        ]

    assert found(decode(decoder, SOURCE, start_id=1, end_id=2, max_length=11, strategy=strategy))
    assert not found(
        decode(
            decoder,
            SOURCE,
            start_id=1,
            end_id=2,
            max_length=11,
            strategy=strategy,
            processors=[BadWords(words)],
        )
    )


@pytest.mark.parametrize("sequences", [[], [[3], []]])
def test_no_words(sequences):
    with pytest.raises(ValueError, match=r"`sequences` must hold the ids of words.*Received: \["):
        BadWords(sequences)
