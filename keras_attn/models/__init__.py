"""Sequence-to-sequence models, each with `start` and `step` for decoding."""

from keras_attn.models.convolutional import ConvolutionalSeq2Seq
from keras_attn.models.language_model import TransformerLanguageModel
from keras_attn.models.recurrent import RecurrentSeq2Seq
from keras_attn.models.scheduled_sampling import ScheduledSampling, TeacherForcingSchedule
from keras_attn.models.transformer import TransformerSeq2Seq

__all__ = [
    "ConvolutionalSeq2Seq",
    "RecurrentSeq2Seq",
    "ScheduledSampling",
    "TeacherForcingSchedule",
    "TransformerLanguageModel",
    "TransformerSeq2Seq",
]
