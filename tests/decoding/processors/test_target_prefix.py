"""Forced beginnings: their log-probabilities count, and what follows is as good as it can be."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import (
    BeamSearch,
    Greedy,
    MinimumLength,
    Sampling,
    SuppressedTokens,
    TargetPrefix,
    decode,
    score,
)

SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)
PREFIXES = [[3, 6, 3], [], [4]]
RAGGED = tf.ragged.constant(PREFIXES, dtype=tf.int32)
DENSE = [[3, 6, 3], [0, 0, 0], [4, 0, 0]]


@pytest.fixture(name="decoder")
def decoder_fixture(remembering, rng):
    return remembering(rng.normal(0, 1.3, (4, 11, 7)))


def test_by_hand(partial):
    prefix = TargetPrefix(DENSE)
    first = prefix.force(None, partial(np.zeros((3, 1, 0)), 7))
    allowed = (~first.numpy()).astype(int).tolist()
    assert allowed == [[[0, 0, 0, 1, 0, 0, 0]], [[1] * 7], [[0, 0, 0, 0, 1, 0, 0]]]
    forbidden = [True, False, False, True, False, False, True]
    second = prefix.force(tf.constant([[forbidden]]), partial(np.zeros((3, 1, 1)), 7))
    assert np.flatnonzero(~second.numpy()[0, 0]).tolist() == [6]  # forbidden, and forced
    assert second[1:].numpy().tolist() == [[forbidden]] * 2


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 3), Sampling(seed=3, num_samples=5)])
@pytest.mark.parametrize(
    "prefix", [TargetPrefix(RAGGED), TargetPrefix(DENSE), TargetPrefix(DENSE, lengths=[3, 0, 1])]
)
def test_hypotheses_begin_as_they_are_told(decoder, strategy, prefix):
    decoded = decode(
        decoder, SOURCE, start_id=1, end_id=2, max_length=9, strategy=strategy, processors=[prefix]
    )
    for row, tokens in enumerate(PREFIXES):
        assert (decoded.tokens[row, :, : len(tokens)].numpy() == tokens).all()
    free = decode(decoder, SOURCE, start_id=1, end_id=2, max_length=9, strategy=strategy)
    length = min(free.tokens.shape[2], decoded.tokens.shape[2])
    np.testing.assert_array_equal(decoded.tokens[1, :, :length], free.tokens[1, :, :length])
    forced = score(decoder, SOURCE, decoded.tokens, start_id=1, end_id=2, lengths=decoded.lengths)
    np.testing.assert_allclose(decoded.log_probs, forced.log_probs, rtol=1e-5)


def test_a_wide_beam_finds_the_best_that_begins_so(decoder):
    everything = decode(decoder, SOURCE, start_id=1, end_id=2, max_length=3, strategy=BeamSearch(7 * 36, 43))
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=3,
        strategy=BeamSearch(43, 1),
        processors=[TargetPrefix([[3], [5], [4]])],
    )
    for row, token in enumerate([3, 5, 4]):
        best = next(x for x in everything.tokens[row].numpy().tolist() if x[0] == token)
        assert decoded.tokens[row, 0].numpy().tolist() == best


@pytest.mark.parametrize("first", [True, False])
def test_what_is_forced_is_not_forbidden(decoder, first):
    others = [MinimumLength(4), SuppressedTokens([3])]
    prefix = [TargetPrefix([[3, 2], [0, 0], [3, 0]])]
    processors = prefix + others if first else others + prefix
    decoded = decode(
        decoder, SOURCE, start_id=1, end_id=2, max_length=9, strategy=BeamSearch(3, 1), processors=processors
    )
    assert decoded.tokens[0, 0].numpy()[:3].tolist() == [3, 2, 0]
    assert decoded.lengths.numpy()[0, 0] == 2
    assert 3 not in decoded.tokens[1, 0].numpy()
    assert decoded.tokens[2, 0].numpy().tolist().count(3) == 1
    assert (decoded.lengths.numpy()[1:, 0] >= 4).all()


def test_a_prefix_longer_than_the_limit(decoder):
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=2,
        max_length=2,
        strategy=BeamSearch(3, 1),
        processors=[TargetPrefix(RAGGED)],
    )
    assert decoded.tokens[0, 0].numpy().tolist() == [3, 6]
    assert not decoded.finished.numpy()[0, 0]


def test_no_prefix_in_any_row(decoder):
    nothing = TargetPrefix(tf.zeros([3, 0], tf.int32))
    one, other = (
        decode(decoder, SOURCE, start_id=1, end_id=2, max_length=5, processors=[nothing]),
        decode(decoder, SOURCE, start_id=1, end_id=2, max_length=5),
    )
    np.testing.assert_array_equal(one.tokens, other.tokens)


def test_ids_that_no_vocabulary_has(partial):
    with pytest.raises(ValueError, match="`tokens` holds what is no id"):
        TargetPrefix([[6, -1]])
    with pytest.raises(ValueError, match="at least 0 and below 7"):
        TargetPrefix([[7, 0]]).force(None, partial([[[]]], 7))
