"""Cleaning: which pairs go, for which reason, and the line that says so."""

import pytest

from keras_attn.training.data.cleaning import clean_pairs, cleaning_account
from keras_attn.training.recipe.recipe import Cleaning, Recipe
from keras_attn.training.recipe.section import RecipeError

PAIRS = [
    ("Hund", "dog"),
    ("Hund", "dog"),  # again
    ("Hund", "hound"),
    ("dog", "Hund"),
    ("OK", " OK"),  # the same text
    ("a b c d", "abcdabcda"),  # 4 characters and 9
    ("a", "abc"),
    ("abcdefghijk", "abcdefghij"),  # 11 characters
]


@pytest.mark.parametrize(
    ("options", "gone", "counts"),
    [
        ({}, [], {}),
        ({"duplicates": True}, [1], {"duplicates": 1}),
        ({"identical": True}, [4], {"identical": 1}),
        ({"max_length_ratio": 2.25}, [6], {"ratio > 2.25": 1}),
        ({"max_length_ratio": 2.2}, [5, 6], {"ratio > 2.2": 2}),
        ({"max_characters": 10}, [7], {"longer than 10 characters": 1}),
        ({"max_characters": 11}, [], {"longer than 11 characters": 0}),
        (
            {"max_characters": 8, "max_length_ratio": 2, "duplicates": True},
            [1, 5, 6, 7],
            {"longer than 8 characters": 2, "ratio > 2": 1, "duplicates": 1},
        ),
    ],
)
def test_what_goes(options, gone, counts):
    kept, received = clean_pairs(PAIRS, Cleaning(**options))
    assert kept == [pair for index, pair in enumerate(PAIRS) if index not in gone]
    assert received == counts


def test_a_pair_counts_once():
    _, counts = clean_pairs([("abc", "abc")] * 3, Cleaning(identical=True, duplicates=True))
    assert counts == {"identical": 3, "duplicates": 0}


def test_scripts_without_spaces():
    assert clean_pairs([("안녕하세요", "你好"), ("", "abc")], Cleaning(max_length_ratio=2.5))[1] == {
        "ratio > 2.5": 1
    }


def test_the_account_adds_up():
    assert cleaning_account(3, {"empty": 1001, "ratio > 9": 0}) == (
        "1,004 pairs read: 1,001 empty, 0 ratio > 9; 3 kept"
    )


def test_a_ratio_below_one():
    table = {"data": {"train": {"path": "a.tsv"}, "cleaning": {"max_length_ratio": 0.5}}}
    with pytest.raises(
        RecipeError, match=r"`data.cleaning.max_length_ratio` divides .* at least 1. Received: 0.5"
    ):
        Recipe.from_dict(table)
