"""The proof finds what it is there to find."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.checks import (
    batches_of,
    check_backends,
    check_graph,
    signature_definitions,
)
from keras_attn.export.verification.requests import example_texts, questions
from keras_attn.export.verification.tolerance import FixedTolerance
from keras_attn.tokenizers import CharacterTokenizer

TOLERANCE = FixedTolerance(1e-5)
REQUESTS = {"double": {"x": np.array([3.0, 1.0, 2.0])}, "name": {"x": np.array([3.0, 1.0, 2.0])}}


class Way:
    """Doubles and names its inputs, and may have a fault."""

    def __init__(self, name, fault=None):
        self.name, self.fault = name, fault

    def ask(self, signature, inputs):
        x = inputs["x"]
        if self.fault == "raises" and len(x) == 1:
            raise ValueError("no\nsuch thing")
        if signature == "name":
            return {"text": np.array([str(number).encode() for number in x], object)}
        if self.fault == "neighbours":
            x = x + 1e-3 * (len(x) > 1) * x.max()
        if self.fault == "order":
            x = np.sort(x)
        return {"y": x * (2 + (1e-4 if self.fault == "numbers" else 1e-7))}


def test_a_way_that_is_slow_is_asked_once():
    slow, told = Way("a"), []
    slow.asks_once, asked, ask = True, [], slow.ask
    slow.ask = lambda signature, inputs: asked.append(signature) or ask(signature, inputs)
    reference, other = check_backends([slow, Way("b")], REQUESTS, batches_of(3), 1e-5, told.append)
    assert sorted(asked) == sorted(REQUESTS)
    assert (reference.is_reference, reference.count) == (True, len(REQUESTS))
    assert (other.is_reference, other.count, other.passed) == (False, 14, True)
    assert told == [f"{way}: {name}" for way in "ab" for name in REQUESTS]


def test_ways_that_agree():
    checks = check_backends([Way("a"), Way("b")], REQUESTS, batches_of(3), TOLERANCE)
    assert [(check.name, check.passed, check.count) for check in checks] == [("a", True, 14), ("b", True, 14)]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("numbers", "double, rows [0, 1, 2]: `y` is "),
        ("order", "double, rows [0, 1, 2]: `y` is "),
        ("raises", "double, rows [0]: ValueError: no"),
    ],
)
def test_a_way_that_answers_otherwise_is_named(fault, problem):
    right, wrong = check_backends([Way("a"), Way("b", fault)], REQUESTS, batches_of(3), TOLERANCE)
    assert right.passed
    assert not wrong.passed
    assert wrong.problems[0].startswith(problem)


def test_answers_that_depend_on_their_neighbours_are_found_in_the_first_way_too():
    (check,) = check_backends([Way("a", "neighbours")], REQUESTS, batches_of(3), TOLERANCE)
    assert any(problem.startswith("double, rows [0]:") for problem in check.problems)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_batches_change_sizes_orders_and_company(count):
    batches = batches_of(count)
    assert batches[0] == list(range(count))
    assert count == 1 or batches[1] == batches[0][::-1]
    assert len(set(map(tuple, batches))) == len(batches) == {1: 1, 2: 4, 3: 7, 7: 7}[count]
    assert [0] in batches
    assert all(0 <= row < count for batch in batches for row in batch)


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (
            lambda x: tf.cast(x, tf.float16),
            "output `y` of serving_default is float16, which JSON cannot carry",
        ),
        (tf.reduce_sum, "output `y` of serving_default has no batch axis"),
    ],
)
def test_outputs_that_cannot_be_served(tmp_path, output, problem):
    run = tf.function(lambda x: {"y": output(x)}, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": run})
    ops, ends = check_graph(tmp_path)
    assert ops.passed
    assert ends.problems == (problem,)


def test_ragged_outputs_are_no_plain_tensors(tmp_path):
    run = tf.function(
        lambda x: {"y": tf.RaggedTensor.from_row_lengths(x, [tf.size(x)])},
        input_signature=[tf.TensorSpec([None], tf.float32, "x")],
    )
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": run})
    assert "output `y` of serving_default is no plain tensor" in check_graph(tmp_path)[1].problems[0]


def test_ops_that_cannot_be_served(tmp_path):
    def sine(x):
        return {"y": tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), [None])}

    run = tf.function(sine, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": run})
    assert "op PyFunc in function" in check_graph(tmp_path)[0].problems[0]


def test_an_export_of_ours_passes(family):
    assert all(check.passed for check in check_graph(family.path))
    assert list(signature_definitions(family.path)) == sorted(INPUTS)


def test_example_texts_are_as_long_as_they_may_be():
    tokenizer = CharacterTokenizer("abc")
    texts = example_texts(tokenizer, 5, lengths=(1, 3, 50))
    assert [len(text) for text in texts] == [0, 1, 3, 5]
    assert set(b"".join(texts).decode()) <= set("abc")


def test_questions_fit_every_input_and_never_break_a_limit():
    tokenizers = CharacterTokenizer("abc"), CharacterTokenizer("xyz")
    asked = questions([b"a", b"", b"abcab"], [b"xxxxxxx", b"y", b""], tokenizers, 3)
    assert {name: inputs.keys() for name, inputs in asked.items()} == {
        name: inputs.keys() for name, inputs in INPUTS.items()
    }
    for name, inputs in asked.items():
        for key, array in inputs.items():
            assert len(array) == 3
            assert tf.constant(array, INPUTS[name][key].dtype).shape.rank == INPUTS[name][key].shape.rank
    assert asked["score"]["target"].tolist() == [b"xx", b"y", b""]
    assert asked["n_best"]["max_length"].tolist() == [3, 2, 1]
    assert asked["n_best"]["target_prefix"].tolist() == [b"", b"y", b""]
    assert asked["decode_ids"]["lengths"].tolist() == [1, 0, 5]
