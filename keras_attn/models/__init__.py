"""Sequence-to-sequence models, each with `start` and `step` for decoding."""

from keras_attn.families.registry import register_family
from keras_attn.models.convolutional import ConvolutionalSeq2Seq
from keras_attn.models.language_model import TransformerLanguageModel
from keras_attn.models.recurrent import RecurrentSeq2Seq
from keras_attn.models.scheduled_sampling import ScheduledSampling, TeacherForcingSchedule
from keras_attn.models.seq2seq import Seq2SeqModel
from keras_attn.models.transformer import TransformerSeq2Seq

__all__ = [
    "ConvolutionalSeq2Seq",
    "RecurrentSeq2Seq",
    "ScheduledSampling",
    "Seq2SeqModel",
    "TeacherForcingSchedule",
    "TransformerLanguageModel",
    "TransformerSeq2Seq",
    "register_family",
]
