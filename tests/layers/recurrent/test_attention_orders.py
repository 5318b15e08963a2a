"""The two orders of a step: against loops around Keras' cell, and against PyTorch with copied weights."""

import keras
import numpy as np
import pytest

from keras_attn.layers import AttentionRNN, BahdanauAttention, LuongAttention

from ...bounds import assert_close

B, T, S, D, M, H, UNITS, VECTOR = 2, 5, 7, 11, 13, 17, 19, 23
# What is added up on the way to a number.
TERMS = T * (D + M + H + UNITS + VECTOR + S)
CELLS = {"gru": lambda: keras.layers.GRUCell(H), "lstm": lambda: keras.layers.LSTMCell(H)}
ATTENTIONS = {
    "bahdanau": lambda: BahdanauAttention(UNITS),
    "general": lambda: LuongAttention("general", scale=True),
    "concat": lambda: LuongAttention("concat", units=UNITS),
}
FED = {"input_feeding": True, "attention_units": VECTOR}
OPTIONS = {
    "bahdanau": {},
    "bahdanau_fed": {"order": "bahdanau", **FED},
    "luong_fed": {"order": "luong", **FED},
}


@pytest.fixture
def inputs(rng):
    return {
        "sequences": rng.normal(size=(B, T, D)).astype("float32"),
        "memory": rng.normal(size=(B, S, M)).astype("float32"),
        "memory_mask": np.array([[True, True, True, True, False, False, False], [True] * S]),
    }


def made(rng, cell, attention, options):
    rnn = AttentionRNN(CELLS[cell](), ATTENTIONS[attention](), **OPTIONS[options])
    rnn.build((B, None, D), (B, S, M))
    for weight in rnn.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return rnn


def close(one, other):
    assert_close(one, other, TERMS)


@pytest.mark.parametrize("options", ["bahdanau", "bahdanau_fed"])
def test_bahdanaus_order_against_loops_around_keras_cell(inputs, rng, options):
    rnn = made(rng, "gru", "bahdanau", options)
    outputs, weights = rnn(**inputs, return_attention_scores=True)
    hidden, vector = np.zeros((B, H), "float32"), np.zeros((B, VECTOR), "float32")
    for t in range(T):
        context, row = rnn.attention(
            hidden[:, None],
            inputs["memory"],
            value_mask=inputs["memory_mask"],
            return_attention_scores=True,
        )
        context = np.asarray(context)[:, 0]
        fed = [vector] if rnn.input_feeding else []
        hidden, _ = rnn.cell(np.concatenate([inputs["sequences"][:, t], *fed, context], axis=1), [hidden])
        expected = np.concatenate([hidden, context], axis=1)
        if rnn.attention_units:
            both = np.concatenate([context, hidden], axis=1)
            expected = vector = np.tanh(both @ np.asarray(rnn.attention_projection.kernel))
        close(outputs[:, t], expected)
        close(weights[:, t], row[:, 0])


def test_luongs_order_against_loops_around_keras_cell(inputs, rng):
    """Equation 5 with input feeding: the vector of the step before, and the new state asks."""
    rnn = made(rng, "gru", "general", "luong_fed")
    outputs = rnn(**inputs)
    kernel = np.asarray(rnn.attention_projection.kernel)
    assert kernel.shape == (M + H, VECTOR)
    hidden, vector = np.zeros((B, H), "float32"), np.zeros((B, VECTOR), "float32")
    for t in range(T):
        hidden, _ = rnn.cell(np.concatenate([inputs["sequences"][:, t], vector], axis=1), [hidden])
        query = np.asarray(hidden)[:, None]
        context = rnn.attention(query, inputs["memory"], value_mask=inputs["memory_mask"])
        vector = np.tanh(np.concatenate([np.asarray(context)[:, 0], hidden], axis=1) @ kernel)
        close(outputs[:, t], vector)


def torch_cell(torch, cell):
    """PyTorch's LSTMCell with the weights of Keras': gates i, f, c, o in the same order."""
    copy = torch.nn.LSTMCell(cell.kernel.shape[0], cell.units)
    pairs = {"weight_ih": cell.kernel, "weight_hh": cell.recurrent_kernel}
    with torch.no_grad():
        for name, kernel in pairs.items():
            getattr(copy, name).copy_(torch.tensor(np.asarray(kernel).T.copy()))
        copy.bias_ih.copy_(torch.tensor(np.asarray(cell.bias)))
        copy.bias_hh.zero_()
    return copy


@pytest.mark.parametrize("order", ["bahdanau", "luong"])
def test_against_pytorch_with_copied_weights(inputs, rng, order):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rnn = made(rng, "lstm", "concat" if order == "bahdanau" else "general", f"{order}_fed")
    if order == "luong":
        rnn.attention.gain.assign(1.0)
    cell = torch_cell(torch, rnn.cell)
    sequences, memory = (torch.tensor(inputs[name]) for name in ("sequences", "memory"))
    hidden = torch.tensor(np.asarray(rnn.attention_projection.kernel))
    key = torch.tensor(np.asarray(rnn.attention.key_projection.kernel))

    def attend(query):
        if order == "luong":
            logits = torch.einsum("bh,mh,bsm->bs", query, key, memory)
        else:
            ask = torch.tensor(np.asarray(rnn.attention.query_projection.kernel))
            summed = (query @ ask)[:, None] + memory @ key
            logits = (torch.tanh(summed) @ torch.tensor(np.asarray(rnn.attention.vector)))[..., 0]
        logits = logits.masked_fill(~torch.tensor(inputs["memory_mask"]), -torch.inf)
        return torch.einsum("bs,bsm->bm", torch.softmax(logits, dim=-1), memory)

    state = (torch.zeros(B, H), torch.zeros(B, H))
    vector, expected = torch.zeros(B, VECTOR), []
    with torch.no_grad():
        for t in range(T):
            context = [attend(state[0])] if order == "bahdanau" else []
            state = cell(torch.cat([sequences[:, t], vector, *context], dim=1), state)
            context = context or [attend(state[0])]
            vector = torch.tanh(torch.cat([*context, state[0]], dim=1) @ hidden)
            expected.append(vector)
    close(rnn(**inputs), torch.stack(expected, dim=1).numpy())
