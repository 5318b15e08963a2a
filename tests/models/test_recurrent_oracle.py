"""RecurrentSeq2Seq against its formulae in NumPy, and its encoder against PyTorch."""

import numpy as np
import pytest

from keras_attn.models import RecurrentSeq2Seq

V, M, H = 23, 5, 7
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19], [1, 10, 3, 3], [1, 21, 4, 0]], np.int32)


def make(rng, **settings):
    model = RecurrentSeq2Seq(19, V, embedding_dim=M, units=H, attention_units=3, **settings)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


def weights(model, name):
    return model.get_layer(name).get_weights()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, h, c, kernel, recurrent, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h, kernel, recurrent, bias):
    z, r, g = np.split(x @ kernel + bias[0], 3)
    hz, hr, hg = np.split(h @ recurrent + bias[1], 3)
    z, r = sigmoid(z + hz), sigmoid(r + hr)
    return z * h + (1 - z) * np.tanh(g + r * hg)


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def luong_row(model, source, target):
    """LSTM to LSTM, its states copied; general score, input feeding, attention vector, no readout."""
    (source_table,), (target_table,) = (weights(model, f"{side}_embedding") for side in ("source", "target"))
    h, c, memory = np.zeros(H), np.zeros(H), []
    for token in source[source > 0]:
        h, c = lstm(source_table[token], h, c, *weights(model, "encoder"))
        memory.append(h)
    memory, fed, logits = np.array(memory), np.zeros(M), []
    decoder = model.get_layer("decoder")
    cell, (key,) = decoder.cell.get_weights(), decoder.attention.get_weights()
    (vector,) = decoder.attention_projection.get_weights()
    kernel, bias = weights(model, "logits")
    for token in target:
        h, c = lstm(np.concatenate([target_table[token], fed]), h, c, *cell)
        context = softmax(memory @ key @ h) @ memory
        fed = np.tanh(np.concatenate([context, h]) @ vector)
        logits.append(fed @ kernel + bias)
    return np.array(logits)


def fixed_context_row(model, source, target):
    """GRU to GRU over one context vector, the last state; maxout before the logits."""
    (source_table,), (target_table,) = (weights(model, f"{side}_embedding") for side in ("source", "target"))
    context, logits = np.zeros(H), []
    for token in source[source > 0]:
        context = gru(source_table[token], context, *weights(model, "encoder"))
    kernel, bias = weights(model, "bridge")
    state = np.tanh(context @ kernel + bias)
    readout, readout_bias = weights(model, "readout")
    kernel, bias = weights(model, "logits")
    for token in target:
        state = gru(np.concatenate([target_table[token], context]), state, *weights(model, "decoder"))
        pairs = np.concatenate([state, context, target_table[token]]) @ readout + readout_bias
        logits.append(pairs.reshape(-1, 2).max(axis=-1) @ kernel + bias)
    return np.array(logits)


LUONG = {
    "cell": "lstm",
    "bidirectional": False,
    "bridge": "copy",
    "attention": "luong",
    "input_feeding": True,
    "attention_vector_units": M,
    "readout": None,
}
FIXED_CONTEXT = {"attention": None, "bidirectional": False, "readout": "maxout"}


@pytest.mark.parametrize(
    ("settings", "oracle"),
    [(LUONG, luong_row), (FIXED_CONTEXT, fixed_context_row)],
    ids=["luong", "fixed_context"],
)
def test_against_numpy(rng, settings, oracle):
    model = make(rng, **settings)
    logits = model({"source": SOURCE, "target": TARGET}).numpy()
    for row, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
        np.testing.assert_allclose(logits[row], oracle(model, source, target), rtol=1e-4, atol=2e-5)


def test_the_encoder_against_torch(rng):
    """Two bidirectional layers of LSTM, pads packed away: the memory and the copied states."""
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    settings = {"cell": "lstm", "num_encoder_layers": 2, "num_decoder_layers": 2, "bridge": "copy"}
    model = make(rng, **settings)
    theirs = torch.nn.LSTM(M, H, num_layers=2, bidirectional=True, batch_first=True)
    for depth, name in enumerate(("encoder", "encoder_2")):
        arrays = [torch.from_numpy(array) for array in weights(model, name)]
        for suffix, (kernel, recurrent, bias) in (("", arrays[:3]), ("_reverse", arrays[3:])):
            with torch.no_grad():  # the gates stand in the same order
                getattr(theirs, f"weight_ih_l{depth}{suffix}").copy_(kernel.T)
                getattr(theirs, f"weight_hh_l{depth}{suffix}").copy_(recurrent.T)
                getattr(theirs, f"bias_ih_l{depth}{suffix}").copy_(bias)
                getattr(theirs, f"bias_hh_l{depth}{suffix}").zero_()
    lengths = torch.from_numpy((SOURCE > 0).sum(axis=1))
    embedded = torch.from_numpy(weights(model, "source_embedding")[0][SOURCE])
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        embedded, lengths, batch_first=True, enforce_sorted=False
    )
    with torch.no_grad():
        outputs, (hidden, cell) = theirs(packed)
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    state, memory = model.start(SOURCE)
    keep = SOURCE > 0
    np.testing.assert_allclose(memory["values"].numpy()[keep], outputs.numpy()[keep], rtol=1e-4, atol=1e-5)
    expected = [hidden[1], cell[1], hidden[3], cell[3]]  # the backward states, from the bottom up
    for ours, their in zip(state, expected, strict=True):
        np.testing.assert_allclose(ours[:, 0], their, rtol=1e-4, atol=1e-5)
