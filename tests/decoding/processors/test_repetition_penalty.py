"""Less of what was written: by hand and in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import Greedy, RepetitionPenalty, decode

SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def test_by_hand(partial):
    logits = tf.constant([[[4.0, -1.0, 3.0, 0.0, 5.0]]])
    adjusted = RepetitionPenalty(2.0).adjust(logits, partial([[[0, 1, 3, 0]]], 5))
    assert adjusted.numpy().tolist() == [[[2.0, -2.0, 3.0, 0.0, 5.0]]]


def test_against_numpy(partial, rng):
    """A penalty for every row; one below 1 makes repetition more probable."""
    logits = rng.normal(size=(3, 2, 7)).astype(np.float32)
    tokens = rng.integers(0, 7, (3, 2, 5))
    penalties = np.array([1.0, 1.7, 0.6], np.float32)
    expected = logits.copy()
    for row, k in np.ndindex(3, 2):
        for token in set(tokens[row, k]):
            old = logits[row, k, token]
            expected[row, k, token] = old / penalties[row] if old > 0 else old * penalties[row]
    received = RepetitionPenalty(tf.constant(penalties)).adjust(tf.constant(logits), partial(tokens, 7))
    np.testing.assert_allclose(received, expected, rtol=1e-6)


def test_in_the_loop(remembering, rng):
    """Log-probabilities are those of the changed distribution."""
    table = rng.normal(0, 2, (11, 7)) - 3.0 * np.eye(7)[2]
    decoder = remembering([table] * 4, drift=0.0)
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=9,
        strategy=Greedy(),
        processors=[RepetitionPenalty(1.5)],
    )
    tokens, total, fed, last = [], 0.0, 0, 1
    while len(tokens) < 9 and last != 2:
        fed = (3 * fed + last) % 97
        logits = table[fed % 11].copy()
        for token in set(tokens):
            logits[token] = logits[token] / 1.5 if logits[token] > 0 else logits[token] * 1.5
        last = int(np.argmax(logits))
        tokens.append(last)
        total += logits[last] - np.logaddexp.reduce(logits)
    assert decoded.tokens[0, 0, : len(tokens)].numpy().tolist() == tokens
    assert float(decoded.log_probs[0, 0]) == pytest.approx(total, rel=1e-4)
    assert (
        tokens
        != decode(decoder, SOURCE, start_id=1, end_id=2, max_length=9)
        .tokens[0, 0, : len(tokens)]
        .numpy()
        .tolist()
    )


@pytest.mark.parametrize("penalty", [0, -1.2])
def test_a_penalty_that_cannot_be(penalty):
    with pytest.raises(ValueError, match=f"`penalty` must be positive.*Received: {penalty}"):
        RepetitionPenalty(penalty)
