"""ResidualConnection: both places of the normalisation, dropout on the sublayer's output, the two halves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_attn.layers import PositionwiseFeedForward, ResidualConnection

B, T, D = 2, 3, 5


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


def normalized(x, epsilon=1e-5):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


def test_by_hand():
    """x = (0, 2), sublayer 3 x: the paper's gives the norm of (0, 8), pre-norm (0, 2) + 3 (-1, 1)."""
    x = np.array([[[0.0, 2.0]]])
    for norm_first, expected in ((False, [-1, 1]), (True, [-3, 5])):
        layer = ResidualConnection(keras.layers.Rescaling(3.0), norm_first=norm_first, epsilon=1e-12)
        np.testing.assert_allclose(layer(x)[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_against_numpy(inputs, norm_first):
    sublayer = keras.layers.Dense(D, activation="tanh")
    outputs = ResidualConnection(sublayer, norm_first=norm_first)(inputs)
    kernel, bias = sublayer.get_weights()
    if norm_first:
        expected = inputs + np.tanh(normalized(inputs) @ kernel + bias)
    else:
        expected = normalized(inputs + np.tanh(inputs @ kernel + bias))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_two_halves_equal_the_call(inputs, norm_first):
    layer = ResidualConnection(PositionwiseFeedForward(7), norm_first=norm_first)
    whole = layer(inputs)
    halves = layer.after(inputs, layer.sublayer(layer.before(inputs)))
    np.testing.assert_allclose(halves, whole, rtol=1e-6)


def test_dropout_falls_on_the_output_of_the_sublayer_alone():
    """Pre-norm over ones gives a sublayer input of 0 and, with a bias of 1, an output of 1 or, kept, 2."""
    sublayer = keras.layers.Dense(1000, bias_initializer="ones")
    layer = ResidualConnection(sublayer, norm_first=True, dropout=0.5)
    ones = np.ones((1, 1, 1000), "float32")
    assert (ops.convert_to_numpy(layer(ones)) == 2).all()
    outputs = ops.convert_to_numpy(layer(ones, training=True))
    assert set(outputs.ravel().tolist()) == {1.0, 3.0}
    assert 400 < (outputs == 3).sum() < 600


def test_a_built_sublayer_keeps_its_weights(inputs):
    sublayer = keras.layers.Dense(D)
    sublayer.build((B, T, D))
    before = sublayer.get_weights()
    layer = ResidualConnection(sublayer)
    layer(inputs)
    np.testing.assert_array_equal(sublayer.get_weights()[0], before[0])
    assert len(layer.weights) == 4


def test_the_mask_is_handed_on():
    ids = np.array([[3, 1, 0], [2, 5, 4]])
    embedded = keras.layers.Embedding(7, D, mask_zero=True)(ids)
    outputs = ResidualConnection(keras.layers.Dense(D))(embedded)
    np.testing.assert_array_equal(outputs._keras_mask, ids != 0)


@pytest.mark.parametrize("sublayer", [keras.layers.Dense(1), keras.layers.Flatten()])
def test_a_sublayer_of_another_width(inputs, sublayer):
    message = r"cannot be added to its input. Expected the shape of the input, \(2, 3, 5\). Received: \(2, "
    with pytest.raises(ValueError, match=message):
        ResidualConnection(sublayer)(inputs)


def test_a_width_that_a_graph_does_not_know(inputs):
    """What is reshaped by sizes of tensors has no static width; the sum has that of the input."""
    layer = ResidualConnection(keras.layers.Dense(D))
    layer(inputs)

    def run(x):
        outputs = ops.reshape(layer.sublayer(layer.before(x)), tf.concat([tf.shape(x)[:-1], [-1]], axis=0))
        assert outputs.shape[-1] is None
        return layer.after(x, outputs)

    graph = tf.function(run, [tf.TensorSpec([None, None, D])])
    np.testing.assert_allclose(graph(inputs), layer(inputs), rtol=1e-6)
    assert graph.get_concrete_function().output_shapes[-1] == D
