"""Batches that form inside the graph: the same answers, fewer runs, errors that stay with their request."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import export_saved_model
from keras_attn.export.service.in_graph_batching import InGraphBatching, batched
from keras_attn.export.service.service import Service
from keras_attn.export.service.signatures import signature_functions
from keras_attn.export.verification.backends import SessionBackend
from keras_attn.export.verification.comparison import as_arrays, differences, rows_of
from keras_attn.export.verification.tolerance import tolerance_of
from keras_attn.export.version_files import read_manifest

TEXTS = np.array(["안녕하세요", "Grüße", "", "x", "Hund", "ein Hund", "3"], object)
SETTINGS = InGraphBatching(max_batch_size=5, timeout_micros=300_000, num_threads=1)


@pytest.fixture(scope="module")
def service(tokenizers, tiny_model):
    tokenizer = tokenizers.characters
    return Service(
        TextToText(
            tiny_model(tokenizer.vocabulary_size), tokenizer, tokenizer, max_length=7, max_source_length=23
        ),
        beam_size=2,
    )


@pytest.fixture(scope="module")
def tolerance(service):
    return tolerance_of(service.text_to_text, [text.encode() for text in TEXTS])


@pytest.fixture(scope="module")
def runs(service):
    """Every signature, as functions of their inputs: each is traced once for all tests."""
    return signature_functions(service, SETTINGS)


def ops_of(function):
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for body in graph.library.function for node in body.node_def)]
    return {node.op for node in nodes}


@pytest.mark.exhaustive
def test_all_signatures_are_batched_but_for_ids(runs):
    batched_names = {name for name, function in runs.items() if "BatchFunction" in ops_of(function)}
    assert batched_names == set(runs) - {"decode_ids", "stream_events"}


def test_without_settings_nothing_is_batched(service):
    assert "BatchFunction" not in ops_of(signature_functions(service)["serving_default"])


@pytest.mark.exhaustive
def test_concurrent_requests_are_answered_as_each_alone(service, runs, tolerance):
    expected = as_arrays(service.answer("serving_default", {"text": tf.constant(TEXTS)}))
    requests = [[0], [1, 2], [3], [4, 5], [6], [2]]
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda rows: runs["serving_default"](tf.constant(TEXTS[rows])), requests))
    for rows, answer in zip(requests, answers, strict=True):
        assert differences(rows_of(expected, rows), as_arrays(answer), tolerance) == []


def test_an_export_with_batching_answers_concurrent_requests_in_a_session(
    service, tolerance, tmp_path, two_signatures
):
    path = export_saved_model(service.text_to_text, tmp_path / "tiny", batching=SETTINGS)
    assert read_manifest(path)["in_graph_batching"] == SETTINGS._asdict()
    expected = as_arrays(service.answer("serving_default", {"text": tf.constant(TEXTS)}))
    session = SessionBackend(path)
    requests = [[0], [1, 2], [3], [4, 5], [6], list(range(7))]
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda rows: session.ask("serving_default", {"text": TEXTS[rows]}), requests))
    session.close()
    for rows, answer in zip(requests, answers, strict=True):
        assert differences(rows_of(expected, rows), answer, tolerance) == []


def test_requests_larger_than_a_batch_and_empty_ones(service, runs, tolerance):
    expected = as_arrays(service.answer("serving_default", {"text": tf.constant(TEXTS)}))
    for rows in (list(range(7)), []):
        answer = as_arrays(runs["serving_default"](tf.constant(TEXTS[rows], tf.string)))
        assert differences(rows_of(expected, rows), answer, tolerance) == []


def test_concurrent_requests_become_one_run():
    sizes = []

    class Counting:
        """Stands in for a service."""

        def checked(self, name, values, rows):
            return values

        def checked_together(self, inputs):
            return inputs

    def answer(inputs):
        def count(text):
            sizes.append(len(text))
            return text

        return {"text": tf.ensure_shape(tf.numpy_function(count, [inputs["text"]], tf.string), [None])}

    run = tf.function(
        lambda text: batched(answer, Counting(), SETTINGS)({"text": text}),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    run(tf.constant(["to trace"]))
    sizes.clear()
    start = threading.Barrier(5)

    def ask(number):
        start.wait()
        return run(tf.constant([str(number)]))["text"].numpy()[0]

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(ask, range(5))) == [b"0", b"1", b"2", b"3", b"4"]
    assert sum(sizes) == 5
    assert len(sizes) < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": [-1.0]}, "`temperature` is out of range"),
        ({"max_length": [1], "target_prefix": ["Hu"]}, "`target_prefix` is longer than `max_length`"),
    ],
)
def test_a_request_that_is_refused_fails_alone(runs, change, message):
    options = {
        "temperature": [1.0],
        "stream": [-1],
        "top_k": [0],
        "top_p": [1.0],
        "seed": [0],
        "max_length": [7],
        "target_prefix": [""],
    }

    def ask(changes):
        tensors = {
            name: tf.constant(x, tf.int64 if name in ("seed", "stream") else None)
            for name, x in {**options, **changes}.items()
        }
        return runs["sample"](text=tf.constant(["Hund"]), **tensors)

    with ThreadPoolExecutor(3) as pool:
        fine, wrong, fine_too = [pool.submit(ask, changes) for changes in ({}, change, {"seed": [3]})]
        assert fine.result()["text"].shape == fine_too.result()["text"].shape == (1,)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            wrong.result()
