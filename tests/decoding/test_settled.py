"""What is settled is never taken back, and as much is settled as can be."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, GNMTLengthPenalty, Greedy, Sampling, decode
from keras_attn.decoding.beam import Beam, Ended, common_prefix
from keras_attn.decoding.task import Task

from ..few import few

START, END = 1, 2


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([True, True, True], [5, 0, 0]),
        ([True, True, False], [5, 6, 0]),
        ([False, True, False], [5, 6, 8]),
        ([False, False, False], [0, 0, 0]),
    ],
)
def test_common_prefix(counts, expected):
    hypotheses = tf.constant([[[5, 6, 7], [5, 6, 8], [5, 9, 7]]])
    assert common_prefix(hypotheses, tf.constant([counts])).numpy().tolist() == [expected]


def test_tokens_that_agree_again_behind_a_difference_are_not_common():
    hypotheses = tf.constant([[[5, 6, 7], [5, 9, 7]]])
    assert common_prefix(hypotheses, tf.fill([1, 2], True)).numpy().tolist() == [[5, 0, 0]]


def beam_of(ended_score, done=False):
    """Two live hypotheses, the second one far behind, and one that has ended otherwise."""
    return Beam(
        histories=(tf.constant([[[5, 6, 7], [5, 9, 9]]]),),
        log_probs=tf.constant([[-1.0, -3.0]]),
        coverage=(),
        ended=Ended((tf.constant([[[5, 6, END]]]),), tf.constant([[-2.0]]), tf.constant([[ended_score]])),
        num_ended=(),
        done=tf.constant([done]),
    )


@pytest.mark.parametrize(
    ("ended_score", "done", "expected"),
    [
        (-np.inf, False, [5, 0, 0]),  # both may win
        (-2.0, False, [5, 6, 0]),  # the second one can only fall
        (-0.5, False, [5, 6, END]),  # neither reaches what has ended
        (-2.0, True, [5, 6, END]),  # the search is over
    ],
)
def test_hypotheses_that_can_still_win_decide(ended_score, done, expected):
    task = Task(END, tf.constant(9), tf.fill([1, 3], True), tf.constant(1))
    settled = BeamSearch(2).settled(beam_of(ended_score, done), tf.constant(2), task)
    assert settled.numpy().tolist() == [expected]


def test_a_length_penalty_lets_those_behind_catch_up():
    """With a divisor of ((5 + 9) / 6)^2 = 5.4, a log-probability of -3 may become a score of -0.55."""
    task = Task(END, tf.constant(9), tf.fill([1, 3], True), tf.constant(1))
    search = BeamSearch(2, length_penalty=GNMTLengthPenalty(2.0))
    assert search.settled(beam_of(-0.6), tf.constant(2), task).numpy().tolist() == [[5, 0, 0]]
    assert search.settled(beam_of(-0.5), tf.constant(2), task).numpy().tolist() == [[5, 6, 0]]


STRATEGIES = {
    "greedy": Greedy(),
    "sampling": Sampling(seed=5),
    "beam": BeamSearch(3),
    "penalty": BeamSearch(4, 2, length_penalty=GNMTLengthPenalty(0.1)),
    "count": BeamSearch(3, early_stopping="count"),
    "never": BeamSearch(3, length_penalty=GNMTLengthPenalty(0.5), early_stopping="never"),
}


@pytest.mark.parametrize(
    ("name", "of_rows"),
    few(
        product(STRATEGIES, [False, True]),
        *(("sampling", False), ("penalty", True), ("count", False)),
    ),
)
def test_what_is_settled_stays(tiny_model, name, of_rows):
    max_length = tf.constant([11, 3, 7, 1, 11]) if of_rows else 11
    model, seen = tiny_model(13), []
    bias = model.get_layer("logits").bias
    bias.assign(bias - 4.0 * np.eye(13)[END])  # ends come later
    source = tf.constant([[5, 7, 11, 2], [9, 2, 0, 0], [4, 4, 2, 0], [12, 6, 2, 0], [8, 2, 0, 0]])
    strategy = STRATEGIES[name]
    on_step = lambda tokens: seen.append(tokens.numpy())  # noqa: E731
    decoded = decode(
        model, source, start_id=START, end_id=END, max_length=max_length, strategy=strategy, on_step=on_step
    )
    plain = decode(model, source, start_id=START, end_id=END, max_length=max_length, strategy=strategy)
    np.testing.assert_array_equal(decoded.tokens, plain.tokens)
    assert [tokens.shape[1] for tokens in seen] == list(range(1, len(seen) + 1))
    final = decoded.tokens[:, 0].numpy()
    for tokens in seen:
        counts = tokens != 0
        assert (counts <= np.cumprod(counts, axis=1)).all()  # nothing behind a gap
        np.testing.assert_array_equal(tokens[counts], final[:, : tokens.shape[1]][counts])
    assert len(seen) > 3
    assert any((tokens != 0).any() for tokens in seen[:-1]), "something is settled before the end"
