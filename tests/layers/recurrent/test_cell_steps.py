"""Dropout between the cells of a stack: where it acts, what it draws, and that it trains."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import AttentionCell, AttentionRNN, BahdanauAttention, MonotonicAttention
from keras_attn.layers.recurrent.cell_steps import step_cell
from keras_attn.layers.recurrent.residual_cell import ResidualCell

from ...bounds import assert_close

B, K, T, S, D, M, UNITS, RATE = 2, 3, 5, 7, 11, 13, 17, 0.25
LOW, MIDDLE = 19, 23  # the top cell adds its input: it is as wide as the middle one
# What is added up on the way to a number.
TERMS = T * (D + M + UNITS + LOW + MIDDLE + S)


def stack():
    top = ResidualCell(keras.layers.GRUCell(MIDDLE))
    return keras.layers.StackedRNNCells([keras.layers.LSTMCell(LOW), keras.layers.GRUCell(MIDDLE), top])


def made(rate=RATE, attention=None, kind=AttentionRNN, **options):
    layer = kind(stack(), attention or BahdanauAttention(UNITS), cell_dropout=rate, **options)
    layer.build((B, None, D), (B, S, M))
    rng = np.random.default_rng(3)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=shape).astype("float32") for shape in ((B, T, D), (B, S, M))]


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def close(one, other):
    assert_close(numbers(one), numbers(other), TERMS)


def test_what_goes_up_is_masked_and_what_goes_on_is_not(rng):
    """Each cell by itself, on what the one below gives times its mask."""
    cells = stack()
    cells.build((B, D))
    inputs, *state = (
        rng.normal(size=(B, K, width)).astype("float32") for width in (D, LOW, LOW, MIDDLE, MIDDLE)
    )
    masks = rng.integers(0, 3, (B, K, LOW + MIDDLE)).astype("float32")
    outputs, after = step_cell(cells, inputs, state, masks=masks)
    below, above = masks[..., :LOW], masks[..., LOW:]
    for k in range(K):
        hidden, lowest = cells.cells[0](inputs[:, k], [state[0][:, k], state[1][:, k]])
        middle, _ = cells.cells[1](hidden * below[:, k], [state[2][:, k]])
        highest, _ = cells.cells[2].cell(middle * above[:, k], [state[3][:, k]])
        for received, expected in zip(after, [*lowest, middle, highest], strict=True):
            close(received[:, k], expected)
        close(outputs[:, k], highest + middle * above[:, k])


def test_what_is_drawn():
    """Zeros as often as the rate says, anew for every row, place and number; the rest keeps the mean."""
    layer, shape = made(), (41, 43, D)
    masks = numbers(layer.draw_masks(ops.zeros(shape), training=True))
    assert masks.shape == (41, 43, LOW + MIDDLE)
    np.testing.assert_allclose(masks[masks > 0], 1 / (1 - RATE), rtol=1e-6)
    assert abs((masks == 0).mean() - RATE) < 5 * (RATE * (1 - RATE) / masks.size) ** 0.5
    for axis in range(3):
        assert np.std(masks, axis=axis).min() > 0  # nothing is the same along any axis
    assert layer.draw_masks(ops.zeros(shape), training=False) is None
    assert made(rate=0.0).draw_masks(ops.zeros(shape), training=True) is None


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_whole_pass_is_one_step_after_the_other_with_the_same_draws(inputs, monkeypatch, noise):
    attention = MonotonicAttention(BahdanauAttention(UNITS), sigmoid_noise=noise)
    rnn = made(attention=attention, order="luong", input_feeding=True, attention_units=29)
    sequences, memory = (ops.convert_to_tensor(x) for x in inputs)
    masks, drawn = rnn.draw_masks(sequences, True), attention.draw_noise(sequences, memory, True)
    monkeypatch.setattr(rnn, "draw_masks", lambda *_: masks)
    monkeypatch.setattr(attention, "draw_noise", lambda *_: drawn)
    outputs = rnn(sequences, memory, training=True)
    prepared = rnn.prepare_memory(memory)
    state = rnn.initial_state(prepared)
    for t in range(T):
        rows = [x if x is None else x[:, t : t + 1] for x in (sequences, drawn, masks)]
        step, state, _, _ = rnn.step(rows[0], state, prepared, True, *rows[1:])
        close(step[:, 0], outputs[:, t])


def test_off_outside_training(inputs):
    close(made()(*inputs), made(rate=0.0)(*inputs))
    cell, memory = made(kind=AttentionCell), inputs[1]
    once, again = (cell(inputs[0], memory, training=training)[0] for training in (False, True))
    close(once, made(rate=0.0, kind=AttentionCell)(inputs[0], memory, training=True)[0])
    assert not np.allclose(numbers(once), numbers(again))


@pytest.mark.exhaustive
def test_trains_with_fit(inputs):
    entries = [keras.Input(x.shape[1:]) for x in inputs]
    model = keras.Model(entries, made()(*entries))
    adam = keras.optimizers.Adam(0.01)
    adam.build(model.trainable_variables)  # else TensorFlow traces the step twice
    model.compile(adam, "mse", jit_compile=False)
    before = np.square(numbers(model(inputs)) - 1).mean()
    model.fit(inputs, np.ones((B, T, MIDDLE + M)), epochs=5, verbose=0)
    assert np.square(numbers(model(inputs)) - 1).mean() < before


def test_config_with_and_without_it():
    layer = AttentionRNN(stack(), BahdanauAttention(UNITS), cell_dropout=RATE)
    assert layer.get_config()["cell_dropout"] == RATE
    # A configuration a call: Keras takes the cells out of what it is given.
    assert AttentionRNN.from_config(layer.get_config()).get_config() == layer.get_config()
    older = layer.get_config()
    del older["cell_dropout"]
    assert AttentionRNN.from_config(older).cell_dropout == 0


def test_a_single_cell_has_nothing_between():
    with pytest.raises(ValueError, match=r"`cell_dropout` acts between .* Expected .*Stacked.*=0.25. Put"):
        AttentionRNN(keras.layers.GRUCell(LOW), BahdanauAttention(UNITS), cell_dropout=RATE)
