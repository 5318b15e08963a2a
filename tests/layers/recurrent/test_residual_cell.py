"""ResidualCell: a cell with its input added, alone and in a stack."""

import keras
import numpy as np
import pytest

from keras_attn.layers.recurrent.residual_cell import ResidualCell

B, T, H = 2, 3, 5


@pytest.mark.parametrize("kind", [keras.layers.GRUCell, keras.layers.LSTMCell, keras.layers.SimpleRNNCell])
def test_adds_its_input(rng, kind):
    cell = kind(H)
    residual = ResidualCell(cell)
    inputs = rng.normal(size=(B, H)).astype("float32")
    states = keras.tree.flatten(residual.get_initial_state(batch_size=B))
    outputs, after = residual(inputs, states)
    expected, states_alone = cell(inputs, states)
    np.testing.assert_allclose(outputs, expected + inputs, rtol=1e-6)
    for one, other in zip(after, states_alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert residual.output_size == H


def test_in_a_stack(rng):
    """The second layer's outputs are its own, plus those of the first."""
    lower, upper = keras.layers.GRUCell(H), keras.layers.GRUCell(H)
    stack = keras.layers.StackedRNNCells([lower, ResidualCell(upper)])
    inputs = rng.normal(size=(B, T, 7)).astype("float32")
    outputs = keras.layers.RNN(stack, return_sequences=True)(inputs)
    first = keras.layers.RNN(lower, return_sequences=True)(inputs)
    second = keras.layers.RNN(upper, return_sequences=True)(first)
    np.testing.assert_allclose(outputs, first + second, rtol=1e-5, atol=1e-6)


def test_config_round_trip():
    written = keras.saving.serialize_keras_object(ResidualCell(keras.layers.LSTMCell(H), name="upper"))
    again = keras.saving.deserialize_keras_object(written)
    assert keras.saving.serialize_keras_object(again) == written


def test_says_whether_its_cell_has_dropout():
    assert ResidualCell(keras.layers.GRUCell(H, recurrent_dropout=0.5)).dropout == 0.5
    assert not ResidualCell(keras.layers.GRUCell(H)).dropout


def test_another_width_than_the_output():
    with pytest.raises(ValueError, match=r"cannot add its input .* Expected .* width 5. Received: .* 7"):
        ResidualCell(keras.layers.GRUCell(H)).build((B, 7))
