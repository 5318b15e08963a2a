"""LearnedPositionalEmbedding: rows of a table, from any start, step by step, and errors beyond its end."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_attn.layers import LearnedPositionalEmbedding

B, T, D, LENGTH = 2, 5, 7, 11
BEYOND = r"go beyond its table. Expected positions from 0 to 10. Received: .* Make the table longer"


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def layer(rng):
    layer = LearnedPositionalEmbedding(LENGTH)
    layer.build((None, None, D))
    layer.embeddings.assign(np.arange(LENGTH * D).reshape(LENGTH, D))
    return layer


@pytest.mark.parametrize("start", [0, 3, LENGTH - T])
def test_adds_the_row_of_every_position(layer, inputs, start):
    table = np.arange(LENGTH * D).reshape(LENGTH, D)
    expected = inputs + table[start : start + T]
    np.testing.assert_allclose(layer(inputs, start_position=start), expected, rtol=1e-6)
    tensor = ops.convert_to_tensor(start, dtype="int32")
    np.testing.assert_allclose(layer(inputs, start_position=tensor), expected, rtol=1e-6)


def test_step_by_step_equals_the_whole(layer, inputs):
    whole = layer(inputs, start_position=2)
    for t in range(T):
        step = layer.step(inputs[:, t : t + 1], ops.convert_to_tensor(2 + t, dtype="int32"))
        np.testing.assert_array_equal(step[:, 0], whole[:, t])
    assert tuple(layer.step(inputs[:, :3], 0).shape) == (B, 3, D)


@pytest.mark.parametrize("rows", [slice(None), slice(1)])
def test_positions_that_do_not_count_up(layer, inputs, rows):
    table, positions = np.arange(LENGTH * D).reshape(LENGTH, D), np.array([[0, 0, 1, 2, 3], [7, 5, 10, 0, 2]])
    inputs, positions = inputs[rows], positions[rows]
    expected = inputs + table[positions]
    np.testing.assert_allclose(layer(inputs, positions=positions), expected, rtol=1e-6)
    step = layer.step(inputs[:, :3], positions[:, 2:3])  # K = 3 hypotheses, a position a row
    np.testing.assert_allclose(step, inputs[:, :3] + table[positions[:, 2:3]], rtol=1e-6)
    entry, places = keras.Input((None, D)), keras.Input((None,), dtype="int32")
    model = keras.Model([entry, places], layer(entry, positions=places))
    np.testing.assert_allclose(model([inputs, positions]), expected, rtol=1e-6)


def test_rows_whose_positions_lie_beyond_the_table(layer, inputs):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"is not in \[0, 11\)"):
        layer(inputs, positions=np.array([[0, 1, 2, 3, LENGTH]] * B))


@pytest.mark.parametrize("start", [-1, LENGTH - T + 1, 1000])
def test_beyond_the_table_where_length_and_start_are_known(layer, inputs, start):
    with pytest.raises(ValueError, match=BEYOND):
        layer(inputs, start_position=start)
    with pytest.raises(ValueError, match=BEYOND):
        layer(inputs, start_position=ops.convert_to_tensor(start, dtype="int32"))
    with pytest.raises(ValueError, match=BEYOND):
        layer(keras.KerasTensor((None, T, D)), start_position=start)


@pytest.mark.parametrize("position", [-1, LENGTH])
def test_a_step_beyond_the_table(layer, inputs, position):
    with pytest.raises(ValueError, match=BEYOND):
        layer.step(inputs[:, :1], position)


def look_up(layer, **settings):
    signature = [tf.TensorSpec([None, None, D]), tf.TensorSpec([], tf.int32)]
    return tf.function(lambda x, start: layer(x, start_position=start), signature, **settings)


def test_inside_a_graph_the_rows_are_the_same(layer, inputs):
    for settings in ({}, {"jit_compile": True}):
        received = look_up(layer, **settings)(inputs, LENGTH - T)
        np.testing.assert_allclose(received, layer(inputs, start_position=LENGTH - T), rtol=1e-6)


@pytest.mark.parametrize("start", [LENGTH - T + 1, 1000])
def test_inside_a_graph_on_the_cpu_a_position_beyond_the_table_is_an_error(layer, inputs, start):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"is not in \[0, 11\)"):
        look_up(layer)(inputs, start)


@pytest.mark.parametrize("start", [-2, LENGTH - T + 2])
def test_where_the_device_raises_nothing_the_place_is_nan(layer, inputs, start):
    received = look_up(layer, jit_compile=True)(inputs, start).numpy()
    beyond = [not 0 <= start + t < LENGTH for t in range(T)]
    np.testing.assert_array_equal(np.isnan(received).any((0, 2)), beyond)
    np.testing.assert_array_equal(np.isnan(received).all((0, 2)), beyond)


def test_gradients_reach_the_rows_that_were_used(layer, inputs):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs, start_position=3))
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.embeddings.value)).numpy()
    assert gradient[:, 0].tolist() == [0.0] * 3 + [float(B)] * T + [0.0] * 3


def test_half_precision_step_equals_the_whole(inputs):
    layer = LearnedPositionalEmbedding(LENGTH, dtype="mixed_bfloat16")
    whole = layer(inputs)
    step = layer.step(ops.cast(inputs[:, 1:2], "bfloat16"), 1)
    assert keras.backend.standardize_dtype(step.dtype) == "bfloat16"
    np.testing.assert_array_equal(*(ops.cast(x, "float32") for x in (step[:, 0], whole[:, 1])))


def test_initializer_is_used(inputs):
    layer = LearnedPositionalEmbedding(LENGTH, embeddings_initializer="ones")
    np.testing.assert_allclose(layer(inputs), inputs + 1, rtol=1e-6)


@pytest.mark.parametrize("max_length", [0, -3, 2.0, "7"])
def test_wrong_max_length(max_length):
    with pytest.raises(ValueError, match=f"`max_length` must be a whole number.*max_length={max_length!r}"):
        LearnedPositionalEmbedding(max_length)
