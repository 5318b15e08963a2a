"""Texts between which a model has no preference, and texts between which it has one."""

import numpy as np
import pytest

from keras_attn.export.verification.checks import check_backends
from keras_attn.export.verification.tolerance import FixedTolerance

TEXTS = np.array([b"x", b"y"], object)
# Log-probabilities of the letters of each answer, and of the end.
LIKED = {b"a": [-1.0, -2.0], b"b": [-1.0000001, -3.0], b"c": [-0.7, -0.1], b"d": [-2.0, -1.0000001]}


class Way:
    """Answers `received` for the first text and "a" for the second, with the score of `scored`."""

    name = "b"

    def __init__(self, received=b"a", scored=None):
        self._received, self._scored = received, scored or received

    def ask(self, signature, inputs):
        if signature == "score":
            tokens = np.array([LIKED[text] for text in inputs["target"]])
            pieces = np.array([[text, b"</s>"] for text in inputs["target"]], object)
            lengths = np.full(len(tokens), 2)
            return {
                "log_prob": tokens.sum(axis=1),
                "token_log_probs": tokens,
                "target_pieces": pieces,
                "length": lengths,
            }
        texts = [self._received if text == b"x" else b"a" for text in inputs["text"]]
        scores = [sum(LIKED[self._scored if text == b"x" else b"a"]) for text in inputs["text"]]
        return {"text": np.array(texts, object), "score": np.array(scores)}


def check_of(other, signature="serving_default"):
    requests = {signature: {"text": TEXTS}}
    return check_backends([Way(), other], requests, [[0, 1]], FixedTolerance(1e-5))[1]


@pytest.mark.parametrize("signature", ["serving_default", "stream"])
@pytest.mark.parametrize("received", [b"b", b"d"], ids=["first_token", "whole"])
def test_equally_probable_texts_are_tied(received, signature):
    check = check_of(Way(received), signature)
    assert (check.problems, check.num_ties) == ((), 1)


def test_a_text_that_the_model_likes_less_or_more_is_found():
    check = check_of(Way(b"c"))
    assert check.num_ties == 0
    assert "`text` is b'c' instead of b'a' at [0]" in check.problems[0]


def test_a_score_that_is_not_that_of_the_text_is_found():
    """As where the tokens are right and what makes a text of them is not."""
    assert "`text`" in check_of(Way(b"b", scored=b"a")).problems[0]


def test_what_is_drawn_is_compared_strictly():
    assert "`text`" in check_of(Way(b"b"), "sample").problems[0]


def test_without_a_signature_that_scores_texts_are_compared_strictly(monkeypatch):
    way, other = Way(), Way(b"b")
    honest = Way.ask

    def without(self, signature, inputs):
        return {}[signature] if signature == "score" else honest(self, signature, inputs)

    monkeypatch.setattr(Way, "ask", without)
    (check,) = check_backends([way, other], {"stream": {"text": TEXTS}}, [[0, 1]], FixedTolerance(1e-5))[1:]
    assert "`text`" in check.problems[0]
