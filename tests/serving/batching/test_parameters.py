from __future__ import annotations

import os

import pytest

from keras_attn.serving.batching.parameters import BatchingParameters, read_batching_parameters
from keras_attn.serving.errors import ServingError


def read(tmp_path, text):
    path = tmp_path / "batching.pbtxt"
    path.write_text(text)
    return read_batching_parameters(str(path))


def test_defaults(tmp_path):
    parameters = read(tmp_path, "")
    assert parameters == BatchingParameters()
    assert (parameters.max_batch_size, parameters.batch_timeout_micros) == (1000, 0)
    assert (parameters.max_enqueued_batches, parameters.num_threads) == (10, os.cpu_count())


def test_values(tmp_path):
    text = """max_batch_size { value: 32 } batch_timeout_micros { value: 700 }
    max_enqueued_batches { value: 3 } num_batch_threads { value: 2 } thread_pool_name { value: "p" }
    allowed_batch_sizes: 2 allowed_batch_sizes: 7 pad_variable_length_inputs: true
    enable_large_batch_splitting { value: true }
    max_execution_batch_size { value: 7 }"""
    parameters = read(tmp_path, text)
    assert parameters == BatchingParameters(32, 700, 3, 2, "p", (2, 7), True, True, 7)
    assert parameters.execution_size == 7
    assert [parameters.padded_size(size) for size in (0, 1, 2, 3, 7)] == [0, 2, 2, 7, 7]


def test_any_size_is_allowed_where_none_is_named():
    assert BatchingParameters().padded_size(13) == 13


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [2, 4]",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "max_execution_batch_size { value: 8 } enable_large_batch_splitting { value: true }"
            " allowed_batch_sizes: 4",
            "must match max_execution_batch_size; last entry was 4; expected 8",
        ),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [4, 4]", "must be positive and monotonically"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("dreams: 1", "Error parsing text-format tensorflow.serving.BatchingParameters: 1:1"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(ServingError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
