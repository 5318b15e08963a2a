"""LayerNormalization: values and gradients by hand, against Keras' own and PyTorch's, in every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers.transformer.layer_normalization import LayerNormalization

B, T, D = 2, 3, 7


def test_by_hand():
    layer = LayerNormalization(epsilon=0.0)
    layer.build((None, 2))
    layer.set_weights([np.array([2.0, 3.0]), np.array([0.5, -0.5])])
    outputs = layer(np.array([[1.0, 5.0]]), training=True)
    np.testing.assert_allclose(outputs, [[-2 + 0.5, 3 - 0.5]], rtol=1e-6)


def built(layer_class, rng, **options):
    """A layer with random gain and bias."""
    layer = layer_class(**{"epsilon": 1e-3, **options})
    layer.build((None, None, D))
    layer.set_weights([rng.normal(1, 0.3, weight.shape) for weight in layer.weights])
    return layer


def values_and_gradients(layer, inputs, upstream, jit_compile=None):
    @tf.function(jit_compile=jit_compile)
    def run(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        weights = [weight.value for weight in layer.weights]
        return [outputs, *tape.gradient(outputs, [inputs, *weights], upstream)]

    return [x.numpy() for x in run(inputs, upstream)]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_values_and_gradients_equal_those_of_keras(rng, jit_compile):
    weights = np.random.default_rng(3)
    inputs, upstream = (tf.constant(rng.normal(2, 3, (B, T, D)), tf.float32) for _ in range(2))
    layer, of_keras = built(LayerNormalization, weights), built(keras.layers.LayerNormalization, weights)
    of_keras.set_weights(layer.get_weights())
    received = values_and_gradients(layer, inputs, upstream, jit_compile)
    expected = values_and_gradients(of_keras, inputs, upstream)
    for name, x, y in zip(("outputs", "inputs", "gamma", "beta"), received, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5, err_msg=name)


def test_values_and_gradients_equal_those_of_pytorch(rng):
    torch = pytest.importorskip("torch", reason="compares with torch.nn.functional.layer_norm")
    layer = built(LayerNormalization, rng)
    inputs, upstream = (rng.normal(2, 3, (B, T, D)).astype("float32") for _ in range(2))
    received = values_and_gradients(layer, tf.constant(inputs), tf.constant(upstream))
    tensors = [torch.tensor(x, requires_grad=True) for x in (inputs, *layer.get_weights())]
    outputs = torch.nn.functional.layer_norm(tensors[0], (D,), *tensors[1:], eps=1e-3)
    outputs.backward(torch.tensor(upstream))
    np.testing.assert_allclose(received[0], outputs.detach(), rtol=1e-4, atol=1e-5)
    for gradient, tensor in zip(received[1:], tensors, strict=True):
        np.testing.assert_allclose(gradient, tensor.grad, rtol=1e-4, atol=1e-5)


def test_a_mean_far_from_zero_costs_no_precision(rng):
    inputs = 1e4 + rng.normal(size=(B, T, D)).astype("float32")
    outputs = LayerNormalization(epsilon=1e-5)(inputs, training=True)
    wide = inputs.astype("float64")
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(outputs, expected, atol=5e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_computes_in_float32_at_least(rng, policy):
    layer = LayerNormalization(epsilon=1e-3, dtype=policy)
    inputs = tf.cast(rng.normal(0, 3, (B, T, D)), layer.compute_dtype)
    trained, served = layer(inputs, training=True), layer(inputs)
    assert trained.dtype == served.dtype == inputs.dtype
    tolerance = {"mixed_bfloat16": 8e-3, "mixed_float16": 1e-3, "float64": 1e-12}[policy]
    np.testing.assert_allclose(
        tf.cast(trained, "float64"), tf.cast(served, "float64"), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("options", [{"axis": 1}, {"axis": [1, 2]}, {"scale": False}, {"center": False}])
def test_what_it_has_no_way_of_its_own_for_is_left_to_keras(rng, options):
    inputs = rng.normal(size=(B, T, D)).astype("float32")
    expected = keras.layers.LayerNormalization(**options)(inputs)
    np.testing.assert_array_equal(LayerNormalization(**options)(inputs, training=True), expected)


def test_without_training_it_is_that_of_keras_to_the_last_bit(rng):
    layer = built(LayerNormalization, rng)
    of_keras = built(keras.layers.LayerNormalization, rng)
    of_keras.set_weights(layer.get_weights())
    inputs = rng.normal(size=(B, T, D)).astype("float32")
    np.testing.assert_array_equal(layer(inputs), of_keras(inputs))


def test_config_and_symbolic_shapes(rng):
    layer = LayerNormalization(epsilon=1e-4, name="here")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is LayerNormalization
    assert again.get_config() == layer.get_config()
    assert layer(keras.Input((None, D)), training=True).shape == (None, None, D)
