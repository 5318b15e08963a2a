"""PositionwiseFeedForward: by hand, against NumPy, dropout in its place, activations of any kind."""

import numpy as np
import pytest
from keras import ops

from keras_attn.layers import PositionwiseFeedForward

B, T, D, HIDDEN = 2, 3, 5, 7


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


def test_by_hand():
    """max(0, 2 x + 1) * 3 - 4 at x = 1 and x = -1."""
    layer = PositionwiseFeedForward(1)
    layer.build((1, 2, 1))
    layer.set_weights([np.array([[2.0]]), np.array([1.0]), np.array([[3.0]]), np.array([-4.0])])
    assert ops.convert_to_numpy(layer(np.array([[[1.0], [-1.0]]]))).tolist() == [[[5.0], [-4.0]]]


def test_against_numpy(inputs):
    layer = PositionwiseFeedForward(HIDDEN, activation="tanh")
    outputs = layer(inputs)
    first, first_bias, second, second_bias = layer.get_weights()
    expected = np.tanh(inputs @ first + first_bias) @ second + second_bias
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
    assert (first.shape, second.shape) == ((D, HIDDEN), (HIDDEN, D))


def test_the_activation_may_be_a_function(inputs):
    named, given = PositionwiseFeedForward(HIDDEN, "tanh"), PositionwiseFeedForward(HIDDEN, ops.tanh)
    named(inputs), given(inputs)
    given.set_weights(named.get_weights())
    np.testing.assert_allclose(named(inputs), given(inputs), rtol=1e-6)


def test_dropout_stands_between_the_two_layers_and_only_in_training():
    """With ones everywhere, an output counts the hidden places that were kept, times 1 / (1 - rate)."""
    layer = PositionwiseFeedForward(1000, dropout=0.5, kernel_initializer="ones")
    ones = np.ones((1, 1, 1), "float32")
    assert float(layer(ones)[0, 0, 0]) == 1000
    kept = float(layer(ones, training=True)[0, 0, 0]) / 2
    assert 400 < kept < 600
    assert kept == int(kept)


def test_both_layers_begin_with_different_numbers():
    layer = PositionwiseFeedForward(D)
    layer.build((B, T, D))
    assert not np.array_equal(layer.hidden.kernel, layer.output_projection.kernel)


@pytest.mark.parametrize("hidden_dim", [0, -3, 2.0, "7"])
def test_wrong_hidden_dim(hidden_dim):
    with pytest.raises(ValueError, match=f"`hidden_dim` must be a whole number.*hidden_dim={hidden_dim!r}"):
        PositionwiseFeedForward(hidden_dim)
