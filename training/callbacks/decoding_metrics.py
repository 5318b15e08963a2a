"""Scores of translations while training, through the decoding that will be served."""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_attn.protocols import Tokenizer
from keras_attn.training.data.pairs import Pair
from keras_attn.training.evaluation.evaluate import corpus_scores
from keras_attn.training.evaluation.translation import translate_all
from keras_attn.training.evaluation.translator import copy_weights, in_float32, make_translator
from keras_attn.training.recipe.monitors import SCORES
from keras_attn.training.recipe.recipe import Recipe, ValidationDecoding
from keras_attn.training.run.moving_average import averaged_weights


class DecodingMetrics(keras.callbacks.Callback):
    """Translates a sample of the validation pairs after an epoch and adds the scores to its logs.

    They are the `DECODED` of `recipe.monitors`, e.g. `val_bleu`, and `val_decoding_seconds`. The sample is
    the same one in every epoch. A model that trains in lower precision is decoded in float32, and
    where a moving average of the weights is kept, with the average.

    It must stand before the callbacks that read the logs.

    Args:
        recipe: the `Recipe`, with `training.validation_decoding`.
        tokenizers: (source, target).
        pairs: all validation pairs.
    """

    def __init__(self, recipe: Recipe, tokenizers: tuple[Tokenizer, Tokenizer], pairs: Sequence[Pair]):
        super().__init__()
        self._options = recipe.training.validation_decoding or ValidationDecoding()
        self._epochs = recipe.training.epochs
        self._decoding = recipe.decoding
        self._tokenize = recipe.evaluation.tokenize
        self._tokenizers = tokenizers
        self._pairs = _sample(pairs, self._options.sample_size, recipe.training.seed)

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes what translates; its graph is traced once."""
        self._twin = in_float32(self.model)
        self._translator = make_translator(self._twin, self._tokenizers, self._decoding)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures, every `every_epochs` epochs and after the last one."""
        if (epoch + 1) % self._options.every_epochs and epoch + 1 != self._epochs:
            return
        began = time.monotonic()
        with averaged_weights(self.model):
            if self._twin is not self.model:
                copy_weights(self.model, self._twin)
            translations = translate_all(self._translator, [source for source, _ in self._pairs])
        scores = corpus_scores(translations, [reference for _, reference in self._pairs], self._tokenize)
        logs.update({f"val_{name}": scores[name] for name in SCORES})
        logs["val_decoding_seconds"] = round(time.monotonic() - began, 2)


def _sample(pairs, size, seed):
    if size >= len(pairs):
        return list(pairs)
    chosen = np.random.default_rng(seed).choice(len(pairs), size, replace=False)
    return [pairs[index] for index in sorted(chosen)]
