"""Vocabulary statistics, counted by hand."""

import json

import numpy as np
import pytest

from keras_attn.tokenizers import WordTokenizer
from keras_attn.training.data.encoded_pairs import encode_pairs
from keras_attn.training.data.vocabulary import report_vocabularies, vocabulary_line, vocabulary_statistics

PAIRS = [("a b", "x"), ("a c c", "x y z"), ("a", "x x x x x")]
HELD_OUT = [("a d", "x"), ("d", "y y")]


@pytest.fixture(scope="module")
def encoded():
    tokenizers = WordTokenizer(["a", "b", "c", "never"]), WordTokenizer(["x", "y"])
    return tokenizers, *(encode_pairs(pairs, *tokenizers, 7, 4) for pairs in (PAIRS, HELD_OUT))


def test_counts_by_hand(encoded):
    (source, _), train, validation = encoded
    assert train.pairs == PAIRS[:2]  # the third is too long
    texts = [pair[0] for pair in train.pairs]
    assert vocabulary_statistics(source, texts, train.sources, validation.sources) == {
        "kind": "words",
        "vocabulary_size": 8,
        "texts": 2,
        "words": 5,
        "tokens": 5,
        "tokens_per_word": 1.0,
        "mean_length": 2.5,
        "longest": 3,
        "ids_used": 3,
        "unknown_rate": 0.0,
        "validation_unknown_rate": pytest.approx(2 / 3),
    }


def test_tokens_a_word():
    rows = [np.array([5, 6, 7], np.int32), np.array([], np.int32)]
    counts = vocabulary_statistics(WordTokenizer(["a"]), ["ab c", " "], rows, [])
    assert (counts["tokens_per_word"], counts["validation_unknown_rate"]) == (1.5, 0.0)


def test_nothing_at_all():
    counts = vocabulary_statistics(WordTokenizer(["a"]), [], [], [])
    assert (counts["tokens"], counts["longest"], counts["mean_length"], counts["ids_used"]) == (0, 0, 0.0, 0)


def test_what_is_written_and_reported(encoded):
    class Run:
        def write_text(self, name, text):
            self.written = (name, json.loads(text))

    run, lines = Run(), []
    report_vocabularies(run, *encoded, lines.append)
    name, counts = run.written
    assert name == "vocabulary.json"
    assert (counts["target"]["words"], counts["target"]["unknown_rate"]) == (4, 0.25)
    assert lines == [vocabulary_line(side, counts[side]) for side in ("source", "target")]
    assert lines[0] == (
        "source: 3 of 8 ids used (words), 5 tokens, 1.00 a word, longest 3; 66.67% of validation unknown"
    )
