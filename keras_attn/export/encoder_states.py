"""The states that an encoder leaves, whatever the family of the model."""

from functools import singledispatch

import tensorflow as tf

from keras_attn.export import packed_transformer as packed_family
from keras_attn.models import (
    ConvolutionalSeq2Seq,
    RecurrentSeq2Seq,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)
from keras_attn.models import convolutional as convolutional_family
from keras_attn.models import language_model as language_model_family
from keras_attn.models import transformer as transformer_family
from keras_attn.models.recurrent_parts import encode


@singledispatch
def encoder_states(model, source):
    """The encoder's states of source ids.

    Args:
        model: a model of one of the families of `keras_attn.models`, or a decoder with an `encode(source)`
            that returns what this function does.
        source: int32 ids `[B, S]`, padded with 0.

    Returns:
        states `[B, S, D]` and their mask, boolean `[B, S]`, True = keep. A recurrent model without attention
        has one state, S = 1. A language model has no encoder: what its last block gives for the prompt.

    Raises:
        TypeError: for another model.
    """
    if _encodes(model):
        return model.encode(source)
    raise TypeError(
        "`model` is of a family whose encoder is not known. Expected one of RecurrentSeq2Seq, "
        f"ConvolutionalSeq2Seq, TransformerSeq2Seq, TransformerLanguageModel. Received: {model!r}."
    )


def has_encoder_states(model):
    """Whether `encoder_states` knows the model."""
    known = encoder_states.dispatch(type(model)) is not encoder_states.dispatch(object)
    return known or _encodes(model)


def _encodes(model):
    return callable(getattr(model, "encode", None))


@encoder_states.register
def _(model: RecurrentSeq2Seq, source):
    states, mask, _ = encode(model._parts, model._settings, source)
    return states, mask


@encoder_states.register
def _(model: TransformerSeq2Seq, source):
    return transformer_family._encode(model._parts, source)


@encoder_states.register
def _(model: ConvolutionalSeq2Seq, source):
    memory = convolutional_family._encode(model._parts, source)
    return memory["keys"], memory["mask"]


@encoder_states.register
def _(model: TransformerLanguageModel, source):
    parts = model._parts
    # Padding stands behind the prompt, where causal attention does not see it.
    mask, positions = language_model_family.mask_and_positions(source, source[:, 0] * 0)
    hidden = language_model_family._embed(parts, source, positions)
    for block in parts["blocks"]:
        hidden = block(hidden, inputs_mask=mask, use_causal_mask=True)
    hidden = hidden if parts["norm"] is None else parts["norm"](hidden)
    return hidden, source != 0


@encoder_states.register
def _(model: packed_family.PackedTransformer, source):
    mask = packed_family._checked_mask(source)
    hidden = packed_family.hidden_keys(mask)
    shape = tf.shape(source)
    rows = model._source_positions(model._embed(0, source), tf.range(shape[1]))  # [B, S, D]
    width = rows.shape[-1]
    rows = tf.reshape(rows, [-1, width])  # [B S, D]
    for attention, feed_forward in model._encoder:
        rows = feed_forward(attention(rows, mask, hidden))
    rows = rows if model._norms[0] is None else model._norms[0](rows)
    return tf.reshape(rows, [shape[0], shape[1], width]), mask
