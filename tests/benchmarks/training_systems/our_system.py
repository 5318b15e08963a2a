"""Ours, compiled as `keras-attn train` compiles it."""

import keras
from timing import (
    CLIP_NORM,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    SIZES,
    VOCABULARY,
    cell,
    limit_threads,
    report_fit,
)

from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import TransformerSeq2Seq
from keras_attn.training.from_recipe.optimizer import WatchedAdam


def main(cell):
    limit_threads(cell)
    keras.utils.set_random_seed(7)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[cell.dtype]
    model = TransformerSeq2Seq(
        VOCABULARY, VOCABULARY, share_embeddings="target", dtype=policy, **SIZES[cell.size]
    )
    model.compile(
        WatchedAdam(LEARNING_RATE, global_clipnorm=CLIP_NORM),
        SequenceCrossentropy(LABEL_SMOOTHING),
        jit_compile=cell.kind == "xla",
    )
    report_fit(cell, model)


main(cell())
