"""The families of models in their settings, tiny and with random weights; ids to run them on.

What follows a slash in a key tells rows of one family apart. A new family needs a line in `ROWS`, `SIZES` and
`TERMS`.
"""

import keras
import numpy as np

from keras_attn.families.registry import family_class
from keras_attn.layers import CoverageAttention

V = 23
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4], [1, 10, 3, 3, 22], [1, 21, 4, 0, 0]], np.int32)
B, S = SOURCE.shape
T = TARGET.shape[1]

D, HIDDEN = 12, 17
_TRANSFORMER = {"embedding_dim": D, "num_heads": 3, "hidden_dim": HIDDEN, "dropout": 0.3}
_ONE_EACH = {"num_encoder_layers": 1, "num_decoder_layers": 1}
SIZES = {
    "recurrent": {"embedding_dim": 5, "units": 7, "attention_units": 3},
    "convolutional": {"embedding_dim": 5, "max_source_length": 11, "max_target_length": 13},
    "transformer": {**_TRANSFORMER, **_ONE_EACH},
    "language_model": {**_TRANSFORMER, "num_layers": 1},
}
# Numbers that are added up on the way to each logit, for `bounds.assert_close`.
TERMS = {
    "recurrent": T * (5 + 7 + 2 * 7 + 3 + T),  # embedding, units, both directions, attention
    "convolutional": 3 * (2 * 5 + 3 * 7 + 2 * T),  # three convolutions over three places, and attention
    "transformer": 4 * (7 * D + HIDDEN + 2 * T),  # two blocks on each side
    "language_model": 2 * (5 * D + HIDDEN + S + T),  # two blocks
}
DEEP = ("transformer", "language_model")
_SMALL = {"encoder_convolutions": [(7, 3)], "decoder_convolutions": [(7, 3), (7, 3)]}
_POSITIONS = {
    "learned": {"positions": "learned", "position_options": {"max_length": 13}},
    "shaw": {"positions": "shaw", "position_options": {"max_distance": 2}},
    "t5": {"positions": "t5", "position_options": {"num_buckets": 8, "max_distance": 11}},
    "alibi": {"positions": "alibi"},
    "no_positions": {"positions": None, "embedding_scale": False},
}
ROWS = {
    "recurrent": {},
    "recurrent/no_attention": {
        "attention": None,
        "order": "luong",
        "readout": "maxout",
        "num_encoder_layers": 2,
    },
    "recurrent/no_attention_copy": {
        "attention": None,
        "cell": "lstm",
        "bidirectional": False,
        "bridge": "copy",
        "num_decoder_layers": 2,
        "input_feeding": True,
    },
    "recurrent/luong_2015": {
        "attention": "luong",
        "cell": "lstm",
        "bidirectional": False,
        "bridge": "copy",
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "input_feeding": True,
        "attention_vector_units": 5,
        "readout": None,
        "tie_target_embedding": True,
    },
    "recurrent/bahdanau_2015": {"normalize": True, "readout": "maxout", "readout_units": 11},
    "recurrent/bahdanau_deep": {
        "cell": "lstm",
        "num_encoder_layers": 3,
        "num_decoder_layers": 2,
        "residual": True,
        "order": "luong",
        "attention_vector_units": 13,
    },
    "recurrent/luong_concat": {
        "attention": "luong",
        "score": "concat",
        "order": "bahdanau",
        "bridge": "zero",
        "num_decoder_layers": 3,
        "residual": True,
        "tie_target_embedding": True,
    },
    "recurrent/luong_dot": {"attention": "luong", "score": "dot", "bidirectional": False, "normalize": True},
    "recurrent/luong_local": {"attention": "luong_local", "window": 2, "bridge": "zero", "cell": "lstm"},
    "recurrent/coverage": {"attention": CoverageAttention(3), "input_feeding": True, "bridge": "copy"},
    "convolutional": _SMALL,
    "convolutional/all_widths": {
        "encoder_convolutions": [(7, 3), (11, 2), (11, 1)],
        "decoder_convolutions": [(7, 3), (13, 1), (13, 4)],
        "output_dim": 3,
    },
    "convolutional/normalized": {**_SMALL, "weight_normalization": True},
    "convolutional/tied": {**_SMALL, "tie_target_embedding": True},
    "convolutional/some_attention": {
        "encoder_convolutions": [(7, 2)],
        "decoder_convolutions": [(7, 3), (13, 2), (13, 1)],
        "decoder_attention": [False, True, False],
    },
    "convolutional/one_layer": {"encoder_convolutions": [(7, 1)], "decoder_convolutions": [(11, 5)]},
    "transformer": {"num_encoder_layers": 2, "num_decoder_layers": 2},
    "transformer/pre_norm": {"norm_first": True, "activation": "gelu"},
    **{f"transformer/{scheme}": settings for scheme, settings in _POSITIONS.items()},
    "transformer/rotary": {"positions": "rotary", "norm_first": True},
    "transformer/grouped": {"num_key_value_heads": 1, "positions": "rotary"},
    "transformer/windowed": {"implementation": "windowed", "window": 2},
    "transformer/inputs_shared": {"share_embeddings": "inputs"},
    "transformer/target_shared": {"share_embeddings": "target", "output_bias": True},
    "transformer/all_shared": {"share_embeddings": "all"},
    "language_model": {"num_layers": 2, "activation": "gelu"},
    "language_model/post_norm": {"norm_first": False},
    **{f"language_model/{scheme}": settings for scheme, settings in _POSITIONS.items()},
    "language_model/learned": {"positions": "learned", "position_options": {"max_length": 17}},
    "language_model/rotary": {"positions": "rotary", "num_key_value_heads": 1},
    "language_model/windowed": {"implementation": "windowed", "window": 3},
    "language_model/blockwise": {"implementation": "blockwise"},
    "language_model/own_output": {"share_embeddings": "none", "output_bias": True},
}


def family_of(name):
    """The kind of a row's family."""
    return name.partition("/")[0]


def make(name, source_size=V, target_size=V, **changes):
    """A model of a row with random weights, biases and norms too.

    Args:
        name: a key of `ROWS`.
        source_size: number of source ids.
        target_size: number of target ids.
        **changes: settings over those of the row.
    """
    kind = family_of(name)
    sizes = (target_size,) if kind == "language_model" else (source_size, target_size)
    model = family_class(kind)(*sizes, **{**SIZES[kind], **ROWS[name], **changes})
    rng = np.random.default_rng(7)
    for weight in model.trainable_weights:
        role = weight.path.rsplit("/")[-1]
        spread = 0.5
        if kind in DEEP:  # neither flat nor certain after several blocks
            spread = {"kernel": 1.5 * weight.shape[0] ** -0.5, "embeddings": 0.5}.get(role, 0.1)
        weight.assign(spread * rng.normal(size=weight.shape) + (role == "gamma"))
    return model


def serialized_again(model):
    """A model of the same configuration and the same weights."""
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    return again
