"""Scores by length are those of the pairs of that length."""

import pytest

from keras_attn.training.evaluation.evaluate import corpus_scores, scores_by_length

PAIRS = [
    ("a b c", "the cat sat on a mat"),
    ("", "nothing"),
    ("a " * 13, "one two three four five"),
    ("a " * 10, "a dog ran over the hill"),
    ("a " * 11, "they go home by bus"),
]
TRANSLATIONS = [
    "the cat sat on the mat",
    "nothing",
    "one two three for five",
    "a dog ran",
    "they go home by bus",
]


def test_scores_of_a_bucket():
    first, second = scores_by_length(PAIRS, TRANSLATIONS)
    assert [(row["from"], row["to"], row["pairs"]) for row in (first, second)] == [(1, 10, 3), (11, 20, 2)]
    for row, chosen in ((first, (0, 1, 3)), (second, (2, 4))):
        expected = corpus_scores([TRANSLATIONS[i] for i in chosen], [PAIRS[i][1] for i in chosen])
        assert {name: row[name] for name in ("bleu", "chrf", "exact_match")} == {
            name: expected[name] for name in ("bleu", "chrf", "exact_match")
        }
    assert first["bleu"] != second["bleu"]


@pytest.mark.parametrize(
    ("tokenize", "limits"), [("char", [(1, 20), (21, 40)]), ("none", [(1, 10), (11, 20)])]
)
def test_length_is_in_characters_where_words_are_not_divided(tokenize, limits):
    rows = scores_by_length([("가" * 20, "x"), ("가 " * 11, "y")], ["x", "y"], tokenize)
    assert [(row["from"], row["to"]) for row in rows] == limits
