"""Relative positions for `MultiHeadAttention`: how far a key is from the query, brought into the attention.

Letters: B batch, H heads, T queries, S keys, E width a head. A position is a whole number; where queries and
keys are of one sequence, the distance `s - t` is all that any of the four schemes uses.
"""

from keras_attn.relative_positions.alibi_positions import ALiBiPositions, alibi_slopes
from keras_attn.relative_positions.relative_positions import (
    RelativePositions,
    distances,
    serialized_positions,
)
from keras_attn.relative_positions.rotary_positions import RotaryPositions
from keras_attn.relative_positions.shaw_positions import ShawPositions
from keras_attn.relative_positions.t5_positions import T5Positions, bucket_table

__all__ = [
    "ALiBiPositions",
    "RelativePositions",
    "RotaryPositions",
    "ShawPositions",
    "T5Positions",
    "alibi_slopes",
    "bucket_table",
    "distances",
    "serialized_positions",
]
