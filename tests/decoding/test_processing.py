"""Processors together: what they adjust, forbid and force, and what is left when all is forbidden."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import (
    BeamSearch,
    Greedy,
    NoRepeatNgram,
    RepetitionPenalty,
    Sampling,
    SuppressedTokens,
    decode,
)
from keras_attn.decoding.processing import choices_of

END = 2
SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


def choices(partial, processors, logits, tokens):
    given = partial(tokens, len(logits))
    logits = tf.constant(logits)[None, None]
    return choices_of(processors, logits, given.tokens, given.position, given.task)


def test_nothing_is_done_where_there_is_nothing_to_do(partial):
    for processors in ([], [RepetitionPenalty(1.0)]):
        received = choices(partial, processors, [1.0, 2.0, 3.0], [[[1]]])
        assert received.logits is received.free_logits


def test_what_is_forbidden_keeps_its_share(partial):
    received = choices(
        partial, [SuppressedTokens([0]), NoRepeatNgram(1)], np.log([0.4, 0.3, 0.2, 0.1]), [[[3]]]
    )
    assert np.isinf(received.logits).tolist() == [[[True, False, False, True]]]
    total = received.log_normalizer(tf.constant([[0.0]]))
    np.testing.assert_allclose(np.exp(received.logits - total[..., None]), [[[0, 0.3, 0.2, 0]]], rtol=1e-5)


def test_adjusting_comes_before_forbidding(partial):
    """In whatever order they are given."""
    for processors in (
        [SuppressedTokens([0]), RepetitionPenalty(2.0)],
        [RepetitionPenalty(2.0), SuppressedTokens([0])],
    ):
        received = choices(partial, processors, [4.0, 2.0, 1.0], [[[0, 1]]])
        assert received.logits.numpy().tolist() == [[[-np.inf, 1.0, 1.0]]]
        assert received.free_logits.numpy().tolist() == [[[2.0, 1.0, 1.0]]]


def test_the_end_is_allowed_where_nothing_else_is(partial):
    received = choices(partial, [SuppressedTokens([0, 1, END, 3])], [1.0, 2.0, 3.0, 4.0], [[[3]]])
    assert np.isinf(received.logits).tolist() == [[[True, True, False, True]]]


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(2, 2), Sampling(seed=3)])
def test_a_loop_in_which_all_is_forbidden_ends(remembering, rng, strategy):
    decoder = remembering(rng.normal(size=(4, 11, 3)))
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=END,
        max_length=7,
        strategy=strategy,
        processors=[SuppressedTokens([0, 1, 2])],
    )
    assert decoded.tokens[:, 0].numpy().tolist() == [[END]] * 3
    assert np.isfinite(decoded.log_probs[:, 0]).all()


def test_a_processor_of_ones_own(remembering, rng):
    class EvenOnly:
        def forbid(self, partial):
            return tf.equal(tf.range(partial.vocabulary_size) % 2, 1)[None, None]

    decoder = remembering(rng.normal(size=(4, 11, 7)))
    once = iter([EvenOnly()])
    decoded = decode(
        decoder, SOURCE, start_id=1, end_id=END, max_length=7, strategy=BeamSearch(3, 3), processors=once
    )
    assert not (decoded.tokens.numpy() % 2).any()


def test_what_is_no_processor(remembering):
    with pytest.raises(
        TypeError, match=r"`processors` holds something that is no processor.*Received: 'min'"
    ):
        decode(
            remembering(np.zeros((2, 3, 3))),
            SOURCE[:1],
            start_id=1,
            end_id=END,
            max_length=7,
            processors=["min"],
        )
