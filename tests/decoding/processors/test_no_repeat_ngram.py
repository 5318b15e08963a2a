"""No n tokens twice: by hand, against plain Python, and in the loop."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Greedy, NoRepeatNgram, Sampling, decode

SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def ngrams(tokens, n):
    return [tuple(tokens[t : t + n]) for t in range(len(tokens) - n + 1)]


def plain(tokens, n, size):
    """Boolean [V]: whether token v would write n tokens that are there already."""
    return [
        n > 0 and len(tokens) + 1 >= n and tuple([*tokens, v][-n:]) in ngrams(tokens, n) for v in range(size)
    ]


@pytest.mark.parametrize(
    ("size", "written", "forbidden"),
    [
        (1, [3, 4], {3, 4}),
        (2, [3, 4, 3], {4}),
        (2, [3, 3], {3}),
        (2, [3], set()),
        (3, [3, 4, 5, 3, 4], {5}),
        (3, [3, 4, 5, 3], set()),
        (3, [3, 4, 0, 3, 4, 5, 3, 4], {0, 5}),
        (3, [], set()),
        (0, [3, 3, 3], set()),
    ],
)
def test_by_hand(partial, size, written, forbidden):
    received = NoRepeatNgram(size).forbid(partial([[written]], 7))
    assert received.shape == (1, 1, 7)
    assert set(np.flatnonzero(received[0, 0])) == forbidden


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_against_plain_python(partial, rng, size):
    for length in range(13):
        tokens = rng.integers(0, 3, (3, 2, length))
        expected = [[plain(row.tolist(), size, 4) for row in rows] for rows in tokens]
        np.testing.assert_array_equal(NoRepeatNgram(size).forbid(partial(tokens, 4)), expected)


def test_a_size_for_every_row(partial, rng):
    tokens = rng.integers(0, 3, (7, 2, 11))
    sizes = [0, 1, 2, 3, 4, 5, 3]
    received = NoRepeatNgram(tf.constant(sizes), largest=4).forbid(partial(tokens, 4))
    for row, size in enumerate(sizes):
        expected = [plain(tokens[row, k].tolist(), size if size <= 4 else 0, 4) for k in range(2)]
        np.testing.assert_array_equal(received[row], expected)


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 3), Sampling(seed=3, num_samples=5)])
@pytest.mark.parametrize("size", [1, 2])
def test_nothing_is_written_twice(remembering, rng, strategy, size):
    decoder = remembering(rng.normal(size=(4, 11, 5)) - 3.0 * np.eye(5)[2])

    def repeats(decoded):
        rows = decoded.tokens.numpy().reshape(-1, decoded.tokens.shape[2])
        written = [
            row[:length].tolist()
            for row, length in zip(rows, decoded.lengths.numpy().reshape(-1), strict=True)
        ]
        return [len(ngrams(row, size)) - len(set(ngrams(row, size))) for row in written]

    assert any(repeats(decode(decoder, SOURCE, start_id=1, end_id=2, max_length=17, strategy=strategy)))
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=17,
        strategy=strategy,
        processors=[NoRepeatNgram(size)],
    )
    assert not any(repeats(decoded))
    if size == 1:  # five tokens: after four, nothing is left but the end
        assert decoded.finished.numpy().all()


def test_a_negative_size():
    with pytest.raises(ValueError, match=r"`size` is negative. Expected an n-gram's length.*Received: -1"):
        NoRepeatNgram(-1)
