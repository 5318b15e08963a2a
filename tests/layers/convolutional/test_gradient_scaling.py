"""GradientScaling: the identity forward, a factor backward."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import GradientScaling


def gradient(layer, inputs):
    """Of the sum of squares of the outputs, on any backend."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda x: ops.sum(ops.square(layer(x))))(inputs)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = ops.sum(ops.square(layer(inputs)))
    return tape.gradient(loss, inputs)


@pytest.mark.parametrize("factor", [0.25, 1.0, 0.0])
def test_by_hand(factor):
    inputs = ops.array([[1.5, -2.0, 3.0]])
    layer = GradientScaling(factor)
    np.testing.assert_array_equal(layer(inputs), inputs)
    np.testing.assert_allclose(gradient(layer, inputs), factor * 2 * np.array([[1.5, -2.0, 3.0]]))


def test_what_stands_below_it_learns_at_another_rate():
    entry = keras.Input((3,))
    below = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    changes = []
    for factor in (1.0, 0.5):
        model = keras.Model(entry, GradientScaling(factor)(below(entry)))
        model.set_weights([np.ones((3, 1))])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(np.ones((1, 3)), np.zeros((1, 1)), verbose=0)
        changes.append(1 - model.get_weights()[0])
    np.testing.assert_allclose(changes[1], 0.5 * changes[0], rtol=1e-6)
