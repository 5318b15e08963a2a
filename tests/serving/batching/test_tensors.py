from __future__ import annotations

import numpy as np
import pytest

from keras_attn.serving.batching.tensors import join_parts, merge, split
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.row_options import num_rows


def rows(*lists):
    return {"x": np.array(lists)}


def texts(*lists):
    return {"x": np.array(lists, dtype=object)}


def test_requests_are_put_behind_each_other():
    merged = merge([rows([1, 2]), rows([3, 4], [5, 6])], pad=False, num_filling=0)
    assert merged["x"].tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_batch_is_filled_with_the_first_row_of_the_last_request():
    merged = merge([rows([1, 2]), rows([3, 4], [5, 6])], pad=False, num_filling=2)
    assert merged["x"].tolist() == [[1, 2], [3, 4], [5, 6], [3, 4], [3, 4]]


def test_shorter_requests_are_filled_with_their_own_first_element():
    merged = merge([rows([7, 8]), rows([3, 4, 5], [6, 9, 1])], pad=True, num_filling=1)
    assert merged["x"].tolist() == [[7, 8, 7], [3, 4, 5], [6, 9, 1], [3, 4, 5]]
    merged = merge([texts([b"a"]), texts([b"b", b"c"])], pad=True, num_filling=0)
    assert merged["x"].tolist() == [[b"a", b"a"], [b"b", b"c"]]


def test_every_inner_dimension_is_filled():
    two = {"x": np.array([[[1, 2]]])}  # [1, 1, 2]
    three = {"x": np.array([[[3], [4], [5]]])}  # [1, 3, 1]
    merged = merge([two, three], pad=True, num_filling=0)["x"]  # [2, 3, 2]
    assert merged.tolist() == [[[1, 2], [1, 1], [1, 1]], [[3, 3], [4, 3], [5, 3]]]


@pytest.mark.parametrize(
    ("requests", "pad", "code", "message"),
    [
        ([rows([1]), rows([1, 2])], False, Code.FAILED_PRECONDITION, "Tensors with name 'x' from different"),
        ([rows([1]), {"x": np.zeros((1, 0))}], True, Code.INVALID_ARGUMENT, "Got empty tensor in batch of"),
        (
            [{"x": np.zeros((1,) * 7)}, {"x": np.zeros((1,) * 6 + (2,))}],
            True,
            Code.INVALID_ARGUMENT,
            "Only tensors with rank from 1 to 6 can be padded",
        ),
    ],
)
def test_requests_that_do_not_go_together(requests, pad, code, message):
    with pytest.raises(ServingError, match=message) as caught:
        merge(requests, pad, 0)
    assert caught.value.code is code


def test_rows():
    assert num_rows({"a": np.zeros((3, 2)), "b": np.zeros(3)}) == 3
    with pytest.raises(ServingError, match="must have at least one dimension"):
        num_rows({"a": np.zeros(())})
    with pytest.raises(ServingError, match=r"must have equal 0th-dimension size\. .* Received: a 2, b 3\."):
        num_rows({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(ServingError, match="must have at least one input tensor"):
        num_rows({})


def test_results_are_taken_apart():
    first, second = split([np.arange(5), np.arange(10).reshape(5, 2)], [1, 3], 1)
    assert [array.tolist() for array in first] == [[0], [[0, 1]]]
    assert [array.tolist() for array in second] == [[1, 2, 3], [[2, 3], [4, 5], [6, 7]]]


def test_results_that_are_no_batch():
    with pytest.raises(ServingError, match="FAILED_PRECONDITION: Batched output tensor has 0 dimensions"):
        split([np.array(1)], [1], 0)
    with pytest.raises(ServingError, match="FAILED_PRECONDITION: Batched output tensor's 0th dimension does"):
        split([np.zeros(3)], [1, 3], 1)


def test_parts_of_a_request_are_put_together():
    parts = [[np.array([1, 2]), np.zeros((2, 3))], [np.array([3]), np.ones((1, 3))]]
    first, second = join_parts(parts)
    assert (first.tolist(), second.shape) == ([1, 2, 3], (3, 3))
    assert join_parts(parts[:1]) == parts[0]


def test_parts_that_were_padded_to_different_lengths():
    with pytest.raises(ServingError) as caught:
        join_parts([[np.zeros((2, 5))], [np.zeros((2, 7))]])
    assert str(caught.value) == (
        "FAILED_PRECONDITION: The request was run in 2 parts, and their results do not go together. Expected"
        " rows of one shape. Received: (5,), (7,). Send fewer rows, or set enable_large_batch_splitting to"
        " false and max_batch_size to as many rows as requests have."
    )
