"""When two answers are the same."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.verification.comparison import as_arrays, differences, joined, rows_of

ANSWER = {
    "text": np.array([[b"a", "한".encode()], [b"b", b""]], object),
    "score": np.array([-3.0, -0.5], np.float32),
    "finished": np.array([True, False]),
}


def changed(name, value, place=0):
    array = ANSWER[name].copy()
    array[place] = value
    return ANSWER | {name: array}


def test_the_same():
    assert differences(ANSWER, {name: array.copy() for name, array in ANSWER.items()}, 1e-5) == []


def test_what_differs_is_named_with_its_place_and_both_values():
    (sentence,) = differences(ANSWER, changed("text", b"c", (1, 0)), 1e-5)
    assert sentence == "`text` is b'c' instead of b'b' at [1, 0] and differs at 1 places of 4"


@pytest.mark.parametrize(
    ("value", "same"), [(-3.00002, True), (-3.00004, False), (np.nan, False), (-np.inf, False)]
)
def test_numbers_within_a_relative_tolerance(value, same):
    assert (differences(ANSWER, changed("score", value), 1e-5) == []) is same


def test_infinities_equal_themselves():
    infinite = changed("score", -np.inf)
    assert differences(infinite, infinite, 1e-5) == []


def test_small_numbers_within_an_absolute_tolerance():
    tiny, other = changed("score", 1e-6), changed("score", 9e-6)
    assert differences(tiny, other, 1e-5) == []
    assert differences(tiny, other, 1e-6) != []


def test_booleans_have_to_be_equal():
    assert "finished" in differences(ANSWER, changed("finished", False), 1e-5)[0]


def test_padding_counts_as_nothing():
    wide = ANSWER | {"text": np.pad(ANSWER["text"], [(0, 0), (0, 3)], constant_values=b"")}
    assert differences(ANSWER, wide, 1e-5) == []
    assert differences(wide, ANSWER, 1e-5) == []
    wide["text"][0, 4] = b"x"
    assert differences(ANSWER, wide, 1e-5) != []


def test_a_batch_of_another_size_is_a_difference():
    assert differences(ANSWER, rows_of(ANSWER, [0]), 1e-5)[0] == "`text` has shape [1, 2] instead of [2, 2]"


def test_outputs_that_are_missing_or_too_many():
    assert differences(ANSWER, {"text": ANSWER["text"]}, 1e-5) == [
        "outputs are ['text'] instead of ['finished', 'score', 'text']"
    ]


def test_rows_are_cut_and_joined():
    assert differences(ANSWER, joined([rows_of(ANSWER, [0]), rows_of(ANSWER, [1])]), 1e-5) == []
    narrow = {"x": np.array([[1, 2]])}, {"x": np.array([[3]])}
    assert joined(narrow)["x"].tolist() == [[1, 2], [3, 0]]


def test_arrays_from_tensors_and_from_json():
    from_tensor = as_arrays({"text": tf.constant(["한", b"\xff"]), "score": tf.constant([1.0, 2.0])})
    from_json = as_arrays({"text": ["한", "\udcff"], "score": [1.0, 2.0]})
    assert differences(from_tensor, from_json, 1e-5) == []
    assert as_arrays({"text": np.zeros([2, 0], object)})["text"].shape == (2, 0)


def test_a_perplexity_is_compared_through_its_logarithm():
    one = {"perplexity": np.array([5.23e18, 1.5], np.float32)}
    assert (
        differences(
            one, {"perplexity": one["perplexity"] * np.exp([np.float32(3e-4), np.float32(7e-6)])}, 1e-5
        )
        == []
    )
    # The logarithm of the second one is below 1.
    other = {"perplexity": one["perplexity"] * np.float32(np.exp(5e-4))}
    assert "differs at 2 places" in differences(one, other, 1e-5)[0]
