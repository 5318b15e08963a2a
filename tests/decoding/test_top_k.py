"""Two stages give what one gives, equals included."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding.top_k import top_k

SIZES = [7, 2047, 2048, 2053, 8000, 8009, 32000]  # with and without a divisor near 64


def one_stage(values, k):
    """The k largest, of equals the first: a stable sort in NumPy."""
    order = np.argsort(-values, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(values, order, axis=-1), order


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("k", [1, 5, 31])
@pytest.mark.parametrize("values", ["random", "equals"])
def test_against_numpy(rng, size, k, values):
    shape = (3, 2, size)
    numbers = rng.normal(size=shape) if values == "random" else rng.integers(0, 5, shape)
    numbers = numbers.astype(np.float32)
    numbers[0, 0] = -np.inf
    numbers[0, 1, 3:] = -np.inf
    found, places = top_k(tf.constant(numbers), k)
    expected, order = one_stage(numbers, k)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(places, order)
    assert places.dtype == tf.int32


@pytest.mark.parametrize("size", [11, 4099])
def test_sizes_that_the_graph_does_not_know(rng, size):
    numbers = rng.normal(size=(2, 3, size)).astype(np.float32)
    for spec in ([None, None, None], [None, None, size]):
        graph = tf.function(lambda values: top_k(values, 5), input_signature=[tf.TensorSpec(spec)])
        for received, expected in zip(graph(numbers), one_stage(numbers, 5), strict=True):
            np.testing.assert_array_equal(received, expected)


def test_more_than_there_are():
    found, places = top_k(tf.constant([[1.0, 3.0, 2.0]]), 5)
    assert found.numpy().tolist() == [[3.0, 2.0, 1.0]]
    assert places.numpy().tolist() == [[1, 2, 0]]
