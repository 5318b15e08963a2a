"""Functions of attention on the tensors of any Keras backend: masks, scores, alignments, positions, loops."""

from keras_attn.ops.blockwise import blockwise_attention
from keras_attn.ops.masks import causal_mask, combine_masks
from keras_attn.ops.monotonic import (
    hard_monotonic_alignment,
    parallel_monotonic_alignment,
    recursive_monotonic_alignment,
)
from keras_attn.ops.scores import additive_logits, dot_logits, masked_softmax, weighted_sum
from keras_attn.ops.sinusoids import sinusoids
from keras_attn.ops.step_loop import run_steps
from keras_attn.ops.windowed import windowed_attention

__all__ = [
    "additive_logits",
    "blockwise_attention",
    "causal_mask",
    "combine_masks",
    "dot_logits",
    "hard_monotonic_alignment",
    "masked_softmax",
    "parallel_monotonic_alignment",
    "recursive_monotonic_alignment",
    "run_steps",
    "sinusoids",
    "weighted_sum",
    "windowed_attention",
]
