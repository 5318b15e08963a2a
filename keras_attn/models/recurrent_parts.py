"""The layers of a recurrent sequence-to-sequence model, and how source ids run through the encoder's."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers import AttentionRNN, BahdanauAttention, LuongAttention, LuongLocalAttention
from keras_attn.layers.attention.uniform_attention import UniformAttention
from keras_attn.layers.embedding.token_embedding import PAD_ID, TokenEmbedding
from keras_attn.layers.recurrent.residual_cell import ResidualCell
from keras_attn.typing import Tensor

_LUONG = ("luong", "luong_local")


def make_parts(settings: dict[str, Any]) -> dict[str, Any]:
    """Makes the layers of the model.

    Args:
        settings: all arguments of `RecurrentSeq2Seq`, by name.

    Returns:
        A dictionary of layers by their role; lists of them for the encoder and the bridge.
    """
    tied, vocabulary_size = settings["tie_target_embedding"], settings["target_vocabulary_size"]
    return {
        "source_embedding": _embedding(settings, "source"),
        "target_embedding": _embedding(settings, "target", tied),
        "encoder": _encoder(settings),
        "bridge": _bridge(settings),
        "decoder": _decoder(settings),
        "readout": _readout(settings),
        "dropout": keras.layers.Dropout(settings["dropout"], dtype=settings["dtype"], name="dropout"),
        # float32 whatever the policy: log-probabilities are made of these.
        "logits": None if tied else keras.layers.Dense(vocabulary_size, dtype="float32", name="logits"),
    }


def encode(
    parts: dict[str, Any], settings: dict[str, Any], source: Tensor, training: bool | None = None
) -> tuple[Tensor, Tensor, list[Tensor] | None]:
    """Runs the encoder and the bridge to the decoder.

    Args:
        parts: what `make_parts` returned.
        settings: as it took them.
        source: int32 ids `[B, S]`, padded with 0.
        training: whether dropout is active.

    Returns:
        memory `[B, S, M]` with its mask `[B, S]`, or without attention `[B, 1, M]` and a mask `[B, 1]`; and
        the decoder's first states, a list of `[B, H]`, or None for zeros.
    """
    mask = ops.not_equal(source, PAD_ID)
    hidden = parts["dropout"](parts["source_embedding"](source), training=training)
    finals = []  # of each layer: the states of the direction that the bridge crosses
    for depth, layer in enumerate(parts["encoder"]):
        if depth:
            hidden = parts["dropout"](hidden, training=training)
        outputs, *states = layer(hidden, mask=mask)
        hidden = outputs + hidden if depth and settings["residual"] else outputs
        # Of two directions the backward one, which has just read the beginning of the source.
        finals.append(states[len(states) // 2 :] if settings["bidirectional"] else states)
    if settings["attention"] is None:
        hidden, mask = _context(states, settings["bidirectional"])
    return parts["dropout"](hidden, training=training), mask, _cross(parts["bridge"], settings, finals)


def check_width_before_logits(settings: dict[str, Any]) -> None:
    """Checks that a tied embedding is as wide as the layer before the logits.

    Args:
        settings: all arguments of `RecurrentSeq2Seq`, by name.

    Raises:
        ValueError: says what to change.
    """
    width = _width_before_logits(settings)
    if settings["tie_target_embedding"] and width != settings["embedding_dim"]:
        raise ValueError(
            "`tie_target_embedding` needs as many numbers before the output as the embedding has. Expected "
            f"{settings['embedding_dim']} (embedding_dim). Received: {width}. Set `readout_units`, or "
            "`attention_vector_units` where there is no readout, to the width of the embedding."
        )


def _embedding(settings, side, with_logits=False):
    size, width = settings[f"{side}_vocabulary_size"], settings["embedding_dim"]
    options = {"dtype": settings["dtype"], "name": f"{side}_embedding"}
    if with_logits:
        return TokenEmbedding(size, width, scale=False, use_bias=True, **options)
    return keras.layers.Embedding(size, width, **options)


def _width_before_logits(settings):
    """None where only the built decoder knows it."""
    if settings["readout"] is None:
        return settings["attention_vector_units"]
    return settings["readout_units"] or settings["embedding_dim"]


def _encoder(settings):
    """One layer a depth: a recurrent layer, or two of them in both directions."""
    kind = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[settings["cell"]]
    layers, dtype = [], settings["dtype"]
    for depth in range(settings["num_encoder_layers"]):
        name = "encoder" if depth == 0 else f"encoder_{depth + 1}"
        # cuDNN's op in a SavedModel cannot be loaded where there is no GPU.
        options = {"return_sequences": True, "return_state": True, "use_cudnn": False, "dtype": dtype}
        if settings["bidirectional"]:
            layer = kind(settings["units"], **options)
            layers.append(keras.layers.Bidirectional(layer, dtype=dtype, name=name))
        else:
            layers.append(kind(settings["units"], name=name, **options))
    return layers


def _bridge(settings):
    """A dense layer for each of the decoder's states, or none."""
    if settings["bridge"] != "dense":
        return []
    count = settings["num_decoder_layers"] * (2 if settings["cell"] == "lstm" else 1)
    names = ["bridge", *(f"bridge_{number}" for number in range(2, count + 1))]
    options = {"activation": "tanh", "dtype": settings["dtype"]}
    return [keras.layers.Dense(settings["units"], **options, name=name) for name in names]


def _decoder(settings):
    kind = {"gru": keras.layers.GRUCell, "lstm": keras.layers.LSTMCell}[settings["cell"]]
    dtype = settings["dtype"]
    cells = [kind(settings["units"], dtype=dtype) for _ in range(settings["num_decoder_layers"])]
    if settings["residual"]:
        cells[1:] = [ResidualCell(cell, dtype=dtype) for cell in cells[1:]]
    by_luong = settings["attention"] in _LUONG
    return AttentionRNN(
        cells[0] if len(cells) == 1 else keras.layers.StackedRNNCells(cells, dtype=dtype),
        _attention(settings),
        order=settings["order"] or ("luong" if by_luong else "bahdanau"),
        input_feeding=settings["input_feeding"],
        attention_units=settings["attention_vector_units"],
        cell_dropout=settings["dropout"] if len(cells) > 1 else 0.0,
        dtype=dtype,
        name="decoder",
    )


def _attention(settings):
    kind, units, dtype = (settings[name] for name in ("attention", "attention_units", "dtype"))
    if kind is None:
        return UniformAttention(dtype=dtype)
    if kind == "bahdanau":
        return BahdanauAttention(units, normalize=settings["normalize"], dtype=dtype)
    if kind in _LUONG:
        score = settings["score"]
        units = units if score == "concat" else None
        options = {"units": units, "scale": settings["normalize"], "dtype": dtype}
        if kind == "luong":
            return LuongAttention(score, **options)
        return LuongLocalAttention(settings["window"], score, **options)
    # A copy: a layer that two models were given would be one layer of both.
    return type(kind).from_config(kind.get_config())


def _readout(settings):
    if settings["readout"] is None:
        return None
    units = settings["readout_units"] or settings["embedding_dim"]
    options = {"dtype": settings["dtype"], "name": "readout"}
    if settings["readout"] == "tanh":
        return keras.layers.Dense(units, activation="tanh", **options)
    return keras.layers.Dense(2 * units, **options)


def _context(states, bidirectional):
    """The last states of the top layer as a memory of one place `[B, 1, M]`, and its mask.

    A recurrent layer carries its state over the pads, so these are the states after the last token.
    """
    parts = [states[0], states[len(states) // 2]] if bidirectional else states[:1]
    context = ops.expand_dims(ops.concatenate(parts, axis=-1), 1)  # [B, 1, M]
    return context, ops.ones_like(context[:, :, 0], dtype="bool")


def _cross(bridge, settings, finals):
    """States of the encoder's layers to the first states of the decoder's, from the bottom up."""
    if settings["bridge"] == "zero":
        return None
    depths = range(settings["num_decoder_layers"])
    # A decoder with more layers than the encoder takes the top one's states again.
    states = [state for depth in depths for state in finals[min(depth, len(finals) - 1)]]
    return [dense(state) for dense, state in zip(bridge, states, strict=True)] if bridge else states
