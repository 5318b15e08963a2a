"""Rows of the contract tests of layers: how each is made and called.

A new layer needs one line in `ROWS`. What follows a slash in a key tells rows of one layer apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras

from keras_attn import layers

B, T, S = 2, 3, 5


@dataclass(frozen=True)
class Row:
    """How a layer is made and called.

    Attributes:
        make: makes it.
        inputs: shape of every tensor that the call takes.
        masks: which argument masks which input; True = keep.
        scores: whether `return_attention_scores` is offered.
        ignored: inputs that do not count outside of training.
    """

    make: Callable
    inputs: dict = field(default_factory=lambda: {"inputs": (B, T, 6)})
    masks: dict = field(default_factory=dict)
    scores: bool = False
    ignored: tuple = ()


def attention(make, query_dim=7, value_dim=11, **inputs):
    """The row of a layer that is called like `keras.layers.MultiHeadAttention`."""
    inputs = {"query": (B, T, query_dim), "value": (B, S, value_dim), **inputs}
    return Row(make, inputs, {"query_mask": "query", "value_mask": "value"}, scores=True)


# Base classes, which do nothing by themselves.
ABSTRACT = {"StepAttention"}


ROWS = {
    "AttentionCell": Row(
        lambda: layers.AttentionCell(
            keras.layers.GRUCell(13), layers.BahdanauAttention(17), input_feeding=True, attention_units=19
        ),
        {"inputs": (B, T, 7), "memory": (B, S, 11)},
        {"memory_mask": "memory"},
    ),
    "AttentionRNN": Row(
        lambda: layers.AttentionRNN(keras.layers.GRUCell(13), layers.BahdanauAttention(17)),
        {"sequences": (B, T, 7), "memory": (B, S, 11)},
        {"memory_mask": "memory", "sequences_mask": "sequences"},
        scores=True,
    ),
    "BahdanauAttention": attention(lambda: layers.BahdanauAttention(17)),
    "BahdanauAttention/normalize": attention(lambda: layers.BahdanauAttention(17, normalize=True)),
    "CoverageAttention": attention(lambda: layers.CoverageAttention(17, fertility=2.0)),
    "GatedConvolution": Row(lambda: layers.GatedConvolution(7, 3), masks={"mask": "inputs"}),
    "GatedConvolution/weight_normalization": Row(
        lambda: layers.GatedConvolution(7, 3, weight_normalization=True), masks={"mask": "inputs"}
    ),
    "GradientScaling": Row(lambda: layers.GradientScaling(0.25)),
    "LayerDrop": Row(
        lambda: layers.LayerDrop(0.2), {"inputs": (B, T, 6), "outputs": (B, T, 6)}, ignored=("inputs",)
    ),
    "LearnedPositionalEmbedding": Row(lambda: layers.LearnedPositionalEmbedding(11)),
    "LocationSensitiveAttention": attention(lambda: layers.LocationSensitiveAttention(17, 3, 5)),
    "LuongAttention/dot": attention(lambda: layers.LuongAttention(scale=True), query_dim=7, value_dim=7),
    "LuongAttention/general": attention(lambda: layers.LuongAttention("general")),
    "LuongAttention/concat": attention(lambda: layers.LuongAttention("concat", units=17)),
    "LuongLocalAttention": attention(lambda: layers.LuongLocalAttention(2)),
    "MonotonicAttention": attention(lambda: layers.MonotonicAttention(layers.LuongAttention("general"))),
    "MonotonicAttention/recursive": attention(
        lambda: layers.MonotonicAttention(layers.BahdanauAttention(17), "recursive")
    ),
    "MultiHeadAttention": attention(lambda: layers.MultiHeadAttention(6, 4, num_key_value_heads=2)),
    "MultiStepAttention": Row(
        lambda: layers.MultiStepAttention(weight_normalization=True),
        {"inputs": (B, T, 7), "target_embedding": (B, T, 13), "value": (B, S, 13)},
        {"value_mask": "value"},
        scores=True,
    ),
    "PositionwiseFeedForward": Row(lambda: layers.PositionwiseFeedForward(13)),
    "ResidualConnection": Row(lambda: layers.ResidualConnection(layers.PositionwiseFeedForward(13))),
    "SinusoidalPositionalEncoding": Row(lambda: layers.SinusoidalPositionalEncoding("halves")),
    "TransformerDecoderBlock": Row(
        lambda: layers.TransformerDecoderBlock(2, 13, activation="gelu"),
        {"inputs": (B, T, 6), "memory": (B, S, 11)},
        {"inputs_mask": "inputs", "memory_mask": "memory"},
        scores=True,
    ),
    "TransformerEncoderBlock": Row(
        lambda: layers.TransformerEncoderBlock(2, 13, norm_first=True),
        masks={"inputs_mask": "inputs"},
        scores=True,
    ),
    "WeightNormalizedConvolution": Row(lambda: layers.WeightNormalizedConvolution(7, 1)),
}


# Inputs that are attended to.
MEMORIES = ("memory", "value", "key", "values")
