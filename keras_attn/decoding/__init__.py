"""From a decoder's steps to whole sequences: one loop, strategies plugged in."""

from keras_attn.extras import require

require("tensorflow")

from keras_attn.decoding.beam_search import BeamSearch
from keras_attn.decoding.ensemble import Ensemble
from keras_attn.decoding.greedy import Greedy
from keras_attn.decoding.loop import decode
from keras_attn.decoding.penalties import GNMTLengthPenalty, PowerLengthPenalty, coverage_penalty
from keras_attn.decoding.processing import Choices
from keras_attn.decoding.processors.forbidden_tokens import BadWords, SuppressedTokens
from keras_attn.decoding.processors.minimum_length import MinimumLength
from keras_attn.decoding.processors.no_repeat_ngram import NoRepeatNgram
from keras_attn.decoding.processors.repetition_penalty import RepetitionPenalty
from keras_attn.decoding.processors.target_prefix import TargetPrefix
from keras_attn.decoding.results import Decoded
from keras_attn.decoding.sampling import Sampling
from keras_attn.decoding.scoring import Scored, score
from keras_attn.decoding.speculative import speculative_greedy
from keras_attn.decoding.task import RelativeLength

__all__ = [
    "BadWords",
    "BeamSearch",
    "Choices",
    "Decoded",
    "Ensemble",
    "GNMTLengthPenalty",
    "Greedy",
    "MinimumLength",
    "NoRepeatNgram",
    "PowerLengthPenalty",
    "RelativeLength",
    "RepetitionPenalty",
    "Sampling",
    "Scored",
    "SuppressedTokens",
    "TargetPrefix",
    "coverage_penalty",
    "decode",
    "score",
    "speculative_greedy",
]
