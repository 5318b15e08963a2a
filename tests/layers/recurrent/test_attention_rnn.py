"""AttentionRNN: against explicit NumPy, step by step, with every kind of cell, saved and loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import AttentionRNN, BahdanauAttention

from ...bounds import assert_close
from ...few import few

B, T, S, D, M, H, UNITS = 2, 3, 5, 7, 11, 13, 17
# What is added up on the way to a number.
TERMS = T * (D + M + H + UNITS + S)
CELLS = {
    "gru": lambda: keras.layers.GRUCell(H),
    "lstm": lambda: keras.layers.LSTMCell(H),
    "simple": lambda: keras.layers.SimpleRNNCell(H),
    "stacked": lambda: keras.layers.StackedRNNCells(
        [keras.layers.LSTMCell(H), keras.layers.GRUCell(19), keras.layers.LSTMCell(23)]
    ),
    "stack_of_one": lambda: keras.layers.StackedRNNCells([keras.layers.LSTMCell(H)]),
}


@pytest.fixture
def inputs(rng):
    return {
        "sequences": rng.normal(size=(B, T, D)).astype("float32"),
        "memory": rng.normal(size=(B, S, M)).astype("float32"),
        "memory_mask": np.array([[True, True, True, False, False], [True] * S]),
    }


@pytest.fixture(params=CELLS)
def rnn(request, rng):
    return AttentionRNN(CELLS[request.param](), BahdanauAttention(UNITS))


def states_for(rnn, rng):
    """A random initial state, flattened."""
    sizes = keras.tree.flatten(rnn.cell.state_size)
    return [rng.normal(size=(B, size)).astype("float32") for size in sizes]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_oracle(rnn, sequences, memory, memory_mask, state):
    """The equations of the class's docstring and of Cho et al.'s GRU (Keras' `reset_after`), in loops."""
    attention, cell = rnn.attention, rnn.cell
    w_query, w_key, vector, kernel, recurrent, bias = (
        np.asarray(x)
        for x in (
            attention.query_projection.kernel,
            attention.key_projection.kernel,
            attention.vector,
            cell.kernel,
            cell.recurrent_kernel,
            cell.bias,
        )
    )
    outputs, weights = np.zeros((B, T, H + M)), np.zeros((B, T, S))
    for b in range(B):
        h = state[b]
        for t in range(T):
            energy = np.exp(np.tanh(h @ w_query + memory[b] @ w_key) @ vector[:, 0]) * memory_mask[b]
            weights[b, t] = energy / energy.sum()
            context = weights[b, t] @ memory[b]
            x = np.concatenate([sequences[b, t], context]) @ kernel + bias[0]
            r = h @ recurrent + bias[1]
            z, reset = sigmoid(x[:H] + r[:H]), sigmoid(x[H : 2 * H] + r[H : 2 * H])
            h = z * h + (1 - z) * np.tanh(x[2 * H :] + reset * r[2 * H :])
            outputs[b, t] = np.concatenate([h, context])
    return outputs, weights


def test_against_numpy(inputs, rng):
    rnn = AttentionRNN(CELLS["gru"](), BahdanauAttention(UNITS))
    state = rng.normal(size=(B, H)).astype("float32")
    outputs, weights = rnn(**inputs, initial_state=[state], return_attention_scores=True)
    expected = gru_oracle(rnn, **inputs, state=state)
    assert_close(outputs, expected[0], TERMS)
    assert_close(weights, expected[1], TERMS)


def test_without_mask_and_state_everything_is_kept_and_zeros_begin(inputs):
    rnn = AttentionRNN(CELLS["gru"](), BahdanauAttention(UNITS))
    outputs = rnn(inputs["sequences"], inputs["memory"])
    everything = inputs | {"memory_mask": np.ones((B, S), bool)}
    expected, _ = gru_oracle(rnn, **everything, state=np.zeros((B, H)))
    assert_close(outputs, expected, TERMS)


def test_whole_pass_equals_step_by_step(rnn, inputs, rng):
    rnn(**inputs)
    state = states_for(rnn, rng)
    outputs, weights = rnn(**inputs, initial_state=state, return_attention_scores=True)
    memory = rnn.prepare_memory(inputs["memory"], inputs["memory_mask"])
    state = [part[:, None] for part in state]
    for t in range(T):
        step, state, context, row = rnn.step(inputs["sequences"][:, t : t + 1], state, memory)
        assert_close(step[:, 0], outputs[:, t], TERMS)
        assert_close(row[:, 0], weights[:, t], TERMS)
        np.testing.assert_array_equal(context, step[..., -M:])


def test_outputs_are_those_of_keras_own_rnn_over_the_same_contexts(rnn, inputs):
    """What the attention returned, given as plain input to `keras.layers.RNN` with the same cell."""
    if keras.backend.backend() == "jax" and len(getattr(rnn.cell, "cells", "ab")) == 1:
        pytest.skip("Keras' own RNN fails on JAX with a stack of one cell")
    outputs = rnn(**inputs)
    contexts = np.asarray(outputs)[..., -M:]
    plain = keras.layers.RNN(rnn.cell, return_sequences=True)
    expected = plain(np.concatenate([inputs["sequences"], contexts], axis=-1))
    assert_close(np.asarray(outputs)[..., :-M], expected, TERMS)


def test_hypotheses_of_a_row_share_its_memory(rnn, inputs, rng):
    """K = 3 hypotheses at once equal each of them alone."""
    rnn(**inputs)
    memory = rnn.prepare_memory(inputs["memory"], inputs["memory_mask"])
    steps = rng.normal(size=(B, 3, D)).astype("float32")
    states = [
        rng.normal(size=(B, 3, size)).astype("float32") for size in keras.tree.flatten(rnn.cell.state_size)
    ]
    together = rnn.step(steps, states, memory)
    for k in range(3):
        alone = rnn.step(steps[:, k : k + 1], [part[:, k : k + 1] for part in states], memory)
        pairs = zip(keras.tree.flatten(together), keras.tree.flatten(alone), strict=True)
        for one, other in pairs:
            assert_close(one[:, k : k + 1], other, TERMS)


def test_scores_change_nothing_else(rnn, inputs):
    outputs, weights = rnn(**inputs, return_attention_scores=True)
    np.testing.assert_array_equal(rnn(**inputs), outputs)
    assert weights.shape == (B, T, S)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-6)
    assert (np.asarray(weights)[0, :, 3:] == 0).all()


@pytest.mark.parametrize("policy", few(["float32", "mixed_bfloat16", "mixed_float16"], "mixed_bfloat16"))
@pytest.mark.parametrize("kind", ["gru", "stacked"])
def test_symbolic_spec_equals_eager_shapes_and_dtypes(inputs, policy, kind):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        rnn = AttentionRNN(CELLS[kind](), BahdanauAttention(UNITS))
    finally:
        keras.config.set_dtype_policy(before)
    symbols = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype.name) for name, x in inputs.items()}
    for flags in ({}, {"return_attention_scores": True}):
        symbolic = keras.tree.flatten(rnn(**symbols, **flags))
        eager = keras.tree.flatten(rnn(**inputs, **flags))
        assert len(eager) == 1 + len(flags)
        for symbol, tensor in zip(symbolic, eager, strict=True):
            assert (None, *tensor.shape[1:]) == symbol.shape
            assert tensor.dtype.name == symbol.dtype
            assert np.isfinite(tf.cast(tensor, tf.float32)).all()


def test_config_round_trip(rnn, inputs):
    rnn(**inputs)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rnn))
    assert again.get_config() == rnn.get_config()
    again(**inputs)
    again.set_weights(rnn.get_weights())
    np.testing.assert_array_equal(again(**inputs), rnn(**inputs))


def test_saved_model_is_bit_equal_in_a_fresh_process(inputs, rng, predict_in_fresh_process):
    rnn = AttentionRNN(CELLS["stacked"](), BahdanauAttention(UNITS))
    entries = {
        name: keras.Input((None, *x.shape[2:]), dtype=x.dtype.name, name=name) for name, x in inputs.items()
    }
    sizes = keras.tree.flatten(rnn.cell.state_size)
    states = {
        f"state_{index}": keras.Input((size,), name=f"state_{index}") for index, size in enumerate(sizes)
    }
    outputs = rnn(**entries, initial_state=list(states.values()), return_attention_scores=True)
    model = keras.Model(entries | states, outputs)
    inputs |= dict(zip(states, states_for(rnn, rng), strict=True))
    expected = model(inputs)
    for one, other in zip(predict_in_fresh_process(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_implicit_masks_of_both_sides(inputs):
    """The memory's is used; the sequence's is passed on."""
    targets, sources = np.array([[3, 1, 0], [2, 5, 4]]), np.array([[1, 2, 3, 0, 0], [5, 4, 3, 2, 1]])
    embedding = keras.layers.Embedding(7, D, mask_zero=True)
    rnn = AttentionRNN(CELLS["gru"](), BahdanauAttention(UNITS))
    outputs, weights = rnn(embedding(targets), embedding(sources), return_attention_scores=True)
    np.testing.assert_array_equal(np.asarray(weights)[:, 1] != 0, sources != 0)
    np.testing.assert_array_equal(outputs._keras_mask, targets != 0)


@pytest.mark.parametrize("kept", [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
def test_a_masked_place_is_as_if_it_were_not_there(rnn, inputs, kept):
    mask = np.array([kept, [1, 1, 1]], "bool")
    outputs, weights = rnn(**inputs, sequences_mask=mask, return_attention_scores=True)
    whole = rnn(**inputs)
    assert_close(outputs[1], whole[1], TERMS)
    first = {name: x[:1] for name, x in inputs.items()}
    alone = rnn(**{**first, "sequences": first["sequences"][:, mask[0]]}, return_attention_scores=True)
    for masked, expected in zip((outputs, weights), alone, strict=True):
        masked = keras.ops.convert_to_numpy(masked)[0]
        assert_close(masked[mask[0]], expected[0], TERMS)
        assert not np.any(masked[~mask[0]])


def test_padding_in_front_of_a_sequence_as_keras_masks_it(rng):
    """A functional model fills the mask in; Keras' own RNN passes by the same places."""
    ids = np.array([[0, 0, 3, 5], [4, 1, 2, 3]])
    memory = rng.normal(size=(2, S, M)).astype("float32")
    entries = keras.Input((None,), dtype="int32"), keras.Input((S, M))
    embedded = keras.layers.Embedding(7, D, mask_zero=True)(entries[0])
    model = keras.Model(
        entries, AttentionRNN(keras.layers.GRUCell(H), BahdanauAttention(UNITS))(embedded, entries[1])
    )
    assert_close(model([ids, memory])[0, 2:], model([ids[:1, 2:], memory[:1]])[0], TERMS)


WRONG_STATES = {
    "of_both_directions": (
        [(B, H)] * 4,
        r"Expected 2 of them: \[batch, 13\], \[batch, 13\]. Received: shapes",
    ),
    "too_few": ([(B, H)], "Expected 2 of them"),
    "width": ([(B, H), (B, H + 1)], r"Received: shapes \[\(2, 13\), \(2, 14\)\]"),
    "axes": ([(B, H), (B, 1, H)], "must hold the states of the cell"),
}


@pytest.mark.parametrize(("shapes", "message"), WRONG_STATES.values(), ids=WRONG_STATES)
def test_states_that_are_not_the_cells(inputs, shapes, message):
    rnn = AttentionRNN(keras.layers.LSTMCell(H), BahdanauAttention(UNITS), order="luong", input_feeding=True)
    with pytest.raises(ValueError, match=message):
        rnn(**inputs, initial_state=[np.zeros(shape, "float32") for shape in shapes])
    symbols = {name: keras.KerasTensor(x.shape) for name, x in inputs.items()}
    with pytest.raises(ValueError, match=message):
        rnn(**symbols, initial_state=[keras.KerasTensor(shape) for shape in shapes])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_mask": np.ones((B, S - 1), "bool")}, "`memory_mask` must have a value for each place"),
        ({"memory_mask": np.full((B, S), -np.inf)}, "`memory_mask` says what to keep"),
        ({"memory": np.ones((B, M), "float32"), "memory_mask": None}, "`memory` has 2 axes"),
        ({"sequences": np.ones((B, D), "float32")}, "`sequences` has 2 axes"),
        (
            {"sequences_mask": np.ones((B, T + 1), "bool")},
            "`sequences_mask` must have a value for each place",
        ),
    ],
)
def test_what_does_not_fit_is_refused(inputs, changes, message):
    rnn = AttentionRNN(keras.layers.GRUCell(H), BahdanauAttention(UNITS))
    with pytest.raises(ValueError, match=message):
        rnn(**{**inputs, **changes})


def test_a_cell_that_does_not_say_how_it_begins(inputs):
    """Such as that of Keras' guide to cells of one's own: it begins with zeros."""

    class MinimalCell(keras.layers.Layer):
        state_size = H

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], H))
            self.built = True

        def call(self, inputs, states, training=None):
            output = keras.ops.matmul(inputs, self.kernel) + states[0] / 2
            return output, [output]

    rnn, zeros = AttentionRNN(MinimalCell(), BahdanauAttention(UNITS)), np.zeros((B, H), "float32")
    np.testing.assert_allclose(rnn(**inputs), rnn(**inputs, initial_state=[zeros]))


def test_a_mask_of_the_memory_that_got_lost_on_its_way():
    source = keras.Input((S,), dtype="int32")
    memory = keras.layers.Embedding(7, M, mask_zero=True)(source) * 2.0
    rnn = AttentionRNN(CELLS["gru"](), BahdanauAttention(UNITS), name="decoder")
    with pytest.raises(ValueError, match=r"padding mask of .*'decoder' got lost at .*Pass `memory_mask=`"):
        rnn(keras.Input((T, D)), memory)
    outputs = rnn(keras.Input((T, D)), memory, memory_mask=keras.ops.not_equal(source, 0))
    assert outputs.shape == (None, T, H + M)


@pytest.mark.parametrize("kind", few(["gru", "stacked"], "stacked"))
def test_gradients_reach_every_weight_inside_a_graph(inputs, rng, kind):
    rnn = AttentionRNN(CELLS[kind](), BahdanauAttention(UNITS))
    rnn(**inputs)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D]),
            tf.TensorSpec([None, None, M]),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def gradients(sequences, memory, memory_mask):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(rnn(sequences, memory, memory_mask, training=True) ** 2)
        return tape.gradient(loss, [weight.value for weight in rnn.weights])

    for gradient in gradients(*inputs.values()):
        assert np.isfinite(gradient).all()
        assert np.any(gradient)


@pytest.mark.parametrize(
    "cell",
    [
        keras.layers.GRUCell(H, dropout=0.3),
        keras.layers.LSTMCell(H, recurrent_dropout=0.3),
        keras.layers.StackedRNNCells([keras.layers.GRUCell(H), keras.layers.GRUCell(H, dropout=0.3)]),
    ],
)
def test_cells_with_dropout_are_refused(cell):
    with pytest.raises(ValueError, match=r"`cell` must not have dropout.*Put `keras.layers.Dropout`"):
        AttentionRNN(cell, BahdanauAttention(UNITS))


@pytest.mark.parametrize(
    "cell", [keras.layers.LSTM(H), keras.layers.LSTMCell, "lstm", [keras.layers.LSTMCell(H)]]
)
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(
        ValueError, match=r"`cell` must be a Keras RNN cell. Expected e.g. keras.layers.GRUCell"
    ):
        AttentionRNN(cell, BahdanauAttention(UNITS))


def test_attention_without_the_two_methods():
    with pytest.raises(ValueError, match=r"`attention` must have a method `project_memory`.*Received"):
        AttentionRNN(CELLS["gru"](), keras.layers.AdditiveAttention())
