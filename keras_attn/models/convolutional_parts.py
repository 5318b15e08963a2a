"""The layers of a convolutional sequence-to-sequence model, from its settings."""

from typing import Any

import keras

from keras_attn.layers import (
    GatedConvolution,
    GradientScaling,
    LearnedPositionalEmbedding,
    MultiStepAttention,
    WeightNormalizedConvolution,
)
from keras_attn.layers.embedding.token_embedding import TokenEmbedding

# Of all embeddings and positions: Gehring et al. 2017, section 3.5.
_EMBEDDING_STDDEV = 0.1


def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Brings the settings into the form that the configuration holds.

    Args:
        settings: all arguments of `ConvolutionalSeq2Seq`, by name.

    Returns:
        The settings with lists as JSON returns them, and `output_dim` filled in.

    Raises:
        ValueError: for settings that do not fit together.
    """
    settings = {**settings, "output_dim": settings["output_dim"] or settings["embedding_dim"]}
    for name in ("encoder_convolutions", "decoder_convolutions"):
        settings[name] = _plain_convolutions(name, settings[name])
    settings["decoder_attention"] = _plain_attention(settings)
    if settings["tie_target_embedding"] and settings["output_dim"] != settings["embedding_dim"]:
        raise ValueError(
            "`tie_target_embedding` needs as many numbers before the output as the embedding has. Expected "
            f"output_dim={settings['embedding_dim']}. Received: output_dim={settings['output_dim']}. "
            "Leave `output_dim` out."
        )
    return settings


def make_parts(settings: dict[str, Any]) -> dict[str, Any]:
    """Makes the layers of the model.

    Args:
        settings: the result of `plain_settings`.

    Returns:
        A dictionary of layers by their role; for encoder and decoder lists of dictionaries, one per
        convolution.
    """
    tied, target_size = settings["tie_target_embedding"], settings["target_vocabulary_size"]
    width, dtype = settings["embedding_dim"], settings["dtype"]
    (source_filters, _), *_ = settings["encoder_convolutions"]
    (target_filters, _), *_ = settings["decoder_convolutions"]
    # Every attention of the decoder sends its gradient to the encoder.
    scale = 0.5 / sum(attending_layers(settings))
    return {
        "source_embedding": _embedding(settings, settings["source_vocabulary_size"], "source_embedding"),
        "target_embedding": _embedding(settings, target_size, "target_embedding", tied),
        "source_positions": _positions(settings, "source"),
        "target_positions": _positions(settings, "target"),
        "dropout": keras.layers.Dropout(settings["dropout"], dtype=dtype, name="dropout"),
        "encoder_input": _dense(settings, source_filters, "encoder_input", after_dropout=True),
        "encoder": _stack(settings, "encoder", "same"),
        "encoder_output": _dense(settings, width, "encoder_output"),
        "gradient": GradientScaling(scale, dtype=dtype, name="gradient"),
        "decoder_input": _dense(settings, target_filters, "decoder_input", after_dropout=True),
        "decoder": _stack(settings, "decoder", "causal"),
        "decoder_output": _dense(settings, settings["output_dim"], "decoder_output"),
        # float32 whatever the policy: log-probabilities are made of these.
        "logits": None if tied else _dense(settings, target_size, "logits", True, dtype="float32"),
    }


def attending_layers(settings: dict[str, Any]) -> list[bool]:
    """Lists whether each layer of the decoder attends to the source, from the bottom."""
    attention = settings["decoder_attention"]
    return [True] * len(settings["decoder_convolutions"]) if attention is True else attention


def _plain_attention(settings):
    """True, or a list of booleans that names at least one layer."""
    attention, num_layers = settings["decoder_attention"], len(settings["decoder_convolutions"])
    if attention is True:
        return True
    chosen = list(attention) if isinstance(attention, list | tuple) else []
    if len(chosen) != num_layers or {type(x) for x in chosen} - {bool} or not any(chosen):
        raise ValueError(
            "`decoder_attention` must say which layers of the decoder attend. Expected True, or a list of "
            f"{num_layers} booleans (one a layer of `decoder_convolutions`), at least one of them True. "
            f"Received: decoder_attention={attention!r}."
        )
    return chosen


def _plain_convolutions(name, convolutions):
    """Lists, as JSON gives them back."""
    plain = [list(convolution) for convolution in convolutions]
    if not plain or any(len(convolution) != 2 for convolution in plain):
        raise ValueError(
            f"`{name}` must say what every layer is. Expected pairs (filters, kernel_size), at least one. "
            f"Received: {name}={convolutions!r}."
        )
    return plain


def _embedding(settings, vocabulary_size, name, with_logits=False):
    if with_logits:
        return TokenEmbedding(
            vocabulary_size,
            settings["embedding_dim"],
            scale=False,
            use_bias=True,
            dtype=settings["dtype"],
            name=name,
        )
    return keras.layers.Embedding(
        vocabulary_size,
        settings["embedding_dim"],
        embeddings_initializer=keras.initializers.RandomNormal(stddev=_EMBEDDING_STDDEV),
        dtype=settings["dtype"],
        name=name,
    )


def _positions(settings, side):
    return LearnedPositionalEmbedding(
        settings[f"max_{side}_length"],
        embeddings_initializer=keras.initializers.RandomNormal(stddev=_EMBEDDING_STDDEV),
        dtype=settings["dtype"],
        name=f"{side}_positions",
    )


def _stack(settings, name, padding):
    """One dictionary a convolution: itself, the projection of its residual, the decoder's attention."""
    layers, below = [], settings[f"{name}_convolutions"][0][0]
    for depth, (filters, kernel_size) in enumerate(settings[f"{name}_convolutions"]):
        layer = {
            "convolution": GatedConvolution(
                filters,
                kernel_size,
                padding=padding,
                dropout=settings["dropout"],
                weight_normalization=settings["weight_normalization"],
                dtype=settings["dtype"],
                name=f"{name}_convolution_{depth}",
            ),
            "residual": None,
        }
        if filters != below:
            layer["residual"] = _dense(settings, filters, f"{name}_residual_{depth}")
        if name == "decoder":
            layer["attention"] = _attention(settings, depth)
        layers.append(layer)
        below = filters
    return layers


def _attention(settings, depth):
    if not attending_layers(settings)[depth]:
        return None
    return MultiStepAttention(
        weight_normalization=settings["weight_normalization"],
        dtype=settings["dtype"],
        name=f"attention_{depth}",
    )


def _dense(settings, units, name, after_dropout=False, dtype=None):
    """A dense layer whose outputs begin with the variance of its inputs before dropout."""
    keep = 1.0 - settings["dropout"] if after_dropout else 1.0
    options = {
        "kernel_initializer": keras.initializers.VarianceScaling(keep, "fan_in", "untruncated_normal"),
        "dtype": dtype or settings["dtype"],
        "name": name,
    }
    if settings["weight_normalization"]:
        return WeightNormalizedConvolution(units, **options)
    return keras.layers.Dense(units, **options)
