"""Sequence-to-sequence models, each with `start` and `step` for decoding."""

from keras_attn.models.recurrent import RecurrentSeq2Seq

__all__ = ["RecurrentSeq2Seq"]
