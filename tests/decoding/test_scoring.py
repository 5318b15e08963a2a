"""Forced scoring: by hand, by steps and in one pass, and of what was decoded."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import Greedy, Sampling, decode, score

from ..bounds import assert_close

START, END = 1, 2
TERMS = 7 * 7  # tokens, and a sum over the vocabulary for each
SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


class Callable:
    """A toy model with both ways: the logits of a place are those of the step before it."""

    def __init__(self, decoder):
        self.decoder = decoder

    def start(self, source):
        return self.decoder.start(source)

    def step(self, *arguments):
        return self.decoder.step(*arguments)

    def __call__(self, inputs):
        state, memory = self.start(inputs["source"])
        logits = []
        for position in range(inputs["target"].shape[1]):
            step = self.step(inputs["target"][:, position : position + 1], position, state, memory)
            state = step.state
            logits.append(step.logits)
        return tf.concat(logits, axis=1)


@pytest.fixture(name="decoder")
def decoder_fixture(remembering, rng):
    return Callable(remembering(rng.normal(0, 1.3, (4, 11, 7))))


def test_by_hand(remembering):
    table = np.zeros((11, 4))
    table[START] = np.log([0.1, 0.2, 0.3, 0.4])
    decoder = remembering([table] * 2, drift=0.0)
    scored = score(decoder, SOURCE[:1], [[3, 0, 2, 3, 3]], start_id=START, end_id=END)
    expected = np.log([[0.4, 0.25, 0.25, 1, 1]])  # after the end nothing counts
    np.testing.assert_allclose(scored.token_log_probs, expected, rtol=1e-6)
    np.testing.assert_allclose(scored.log_probs, expected.sum(axis=1), rtol=1e-6)
    assert scored.lengths.numpy().tolist() == [3]


@pytest.mark.parametrize("strategy", [Greedy(), Sampling(1.5, seed=5, num_samples=5)])
@pytest.mark.parametrize("method", ["steps", "full"])
def test_of_what_was_decoded(decoder, strategy, method):
    decoded = decode(decoder, SOURCE, start_id=START, end_id=END, max_length=4, strategy=strategy)
    assert len(np.unique(decoded.finished)) == 2
    scored = score(
        decoder, SOURCE, decoded.tokens, start_id=START, end_id=END, lengths=decoded.lengths, method=method
    )
    assert_close(scored.log_probs, decoded.log_probs, TERMS)
    np.testing.assert_array_equal(scored.lengths, decoded.lengths)


@pytest.mark.parametrize("method", ["steps", "full"])
def test_one_target_a_source_is_the_first_of_several(decoder, method):
    targets = np.array([[[3, 4, 2, 0, 0], [5, 0, 6, 0, 0]], [[2, 3, 3, 0, 0], [0, 0, 0, 0, 0]]], np.int32)
    several = score(decoder, SOURCE[:2], targets, start_id=START, end_id=END, method=method)
    assert several.lengths.numpy().tolist() == [[3, 3], [1, 0]]
    for n in range(2):
        one = score(decoder, SOURCE[:2], targets[:, n], start_id=START, end_id=END, method=method)
        for left, right in zip(one, several, strict=True):
            assert_close(left, right[:, n], TERMS)


def test_both_ways_agree(decoder, rng):
    targets = rng.integers(0, 7, (3, 5, 6))
    steps, full = (
        score(decoder, SOURCE, targets, start_id=START, end_id=END, method=x) for x in ("steps", "full")
    )
    for left, right in zip(steps, full, strict=True):
        assert_close(left, right, TERMS)


def test_a_keras_model(tiny_model):
    """The full pass of a real model is its steps, of targets that were not decoded too."""
    model = tiny_model(11)
    source = np.array([[3, 4, 2, 0, 0], [9, 5, 7, 8, 2]], np.int32)
    target = np.array([[[5, 6, 2, 0], [7, 2, 0, 0], [4, 4, 4, 4]]] * 2, np.int32)
    steps, full = (
        score(model, source, target, start_id=START, end_id=END, method=x) for x in ("steps", "full")
    )
    np.testing.assert_allclose(steps.token_log_probs, full.token_log_probs, rtol=1e-4, atol=1e-5)
    assert steps.lengths.numpy().tolist() == [[3, 2, 4]] * 2


def test_no_tokens_and_no_rows(decoder):
    nothing = score(decoder, SOURCE, np.zeros((3, 0)), start_id=START, end_id=END)
    assert nothing.token_log_probs.shape == (3, 0)
    assert not nothing.log_probs.numpy().any()
    assert nothing.lengths.numpy().tolist() == [0, 0, 0]
    empty = score(decoder, SOURCE[:0], np.zeros((0, 2, 5)), start_id=START, end_id=END)
    assert [x.shape for x in empty] == [(0, 2, 5), (0, 2), (0, 2)]


@pytest.mark.parametrize(
    ("target", "method", "message"),
    [
        ([[2]], "all", "`method` is unknown. Expected one of .*'full'.*Received: 'all'"),
        ([2], "steps", r"`target` must hold ids. Expected shape \[B, T\].*Received: \(1,\)"),
    ],
)
def test_what_cannot_be_scored(decoder, target, method, message):
    with pytest.raises(ValueError, match=message):
        score(decoder, SOURCE[:1], target, start_id=START, end_id=END, method=method)


def test_a_decoder_without_a_full_pass(remembering):
    with pytest.raises(ValueError, match=r"`decoder` cannot be called.*Use method='steps'"):
        score(remembering(np.zeros((2, 3, 3))), SOURCE[:1], [[2]], start_id=START, end_id=END, method="full")
