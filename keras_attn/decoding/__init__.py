"""From a decoder's steps to whole sequences: one loop, strategies plugged in."""

from keras_attn.decoding.bad_words import BadWords
from keras_attn.decoding.beam_search import BeamSearch
from keras_attn.decoding.choices import Choices
from keras_attn.decoding.coverage_penalty import coverage_penalty
from keras_attn.decoding.decoded import Decoded
from keras_attn.decoding.ensemble import Ensemble
from keras_attn.decoding.greedy import Greedy
from keras_attn.decoding.length_penalty import GNMTLengthPenalty, PowerLengthPenalty
from keras_attn.decoding.loop import decode
from keras_attn.decoding.minimum_length import MinimumLength
from keras_attn.decoding.no_repeat_ngram import NoRepeatNgram
from keras_attn.decoding.relative_length import RelativeLength
from keras_attn.decoding.repetition_penalty import RepetitionPenalty
from keras_attn.decoding.sampling import Sampling
from keras_attn.decoding.scoring import Scored, score
from keras_attn.decoding.speculative import speculative_greedy
from keras_attn.decoding.suppressed_tokens import SuppressedTokens
from keras_attn.decoding.target_prefix import TargetPrefix

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
