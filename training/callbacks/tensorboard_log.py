"""TensorBoard logs of a training: numbers and pictures of the attention."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_attn.protocols import Tokenizer
from keras_attn.training.evaluation.translator import copy_weights, in_float32, make_translator
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.run.moving_average import averaged_weights
from keras_attn.typing import StrPath

_PIXELS = 16  # a weight is a square of so many


class TensorBoardLog(keras.callbacks.Callback):
    """Writes event files after every epoch: the values of the logs, and alignments of some validation pairs.

    TensorBoard itself need not be installed: `tensorboard --logdir RUN/tensorboard` may run elsewhere. In a
    picture a row is a target token, a column a source token, and white is a weight of 1.

    It must stand behind the callbacks that add to the logs.

    Args:
        folder: where the event files go.
        recipe: the `Recipe`.
        tokenizers: (source, target).
        sources: texts whose alignments are drawn.
    """

    def __init__(
        self, folder: StrPath, recipe: Recipe, tokenizers: tuple[Tokenizer, Tokenizer], sources: Sequence[str]
    ):
        super().__init__()
        self._folder = str(folder)
        self._decoding = recipe.decoding
        self._tokenizers = tokenizers
        self._sources = list(sources)

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the file, and makes what translates."""
        self._writer = tf.summary.create_file_writer(self._folder)
        self._twin = in_float32(self.model)
        self._translator = make_translator(self._twin, self._tokenizers, self._decoding)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes numbers and pictures."""
        rate = {"learning_rate": float(self.model.optimizer.learning_rate)}
        with self._writer.as_default(step=epoch + 1):
            for name, value in {**(logs or {}), **rate}.items():
                scalar = tf.constant(float(value), tf.float32)
                tf.summary.write(name, scalar, metadata=_metadata("scalars", _SCALAR))
            for index, picture in enumerate(self._pictures()):
                height, width = picture.shape[:2]
                encoded = tf.io.encode_png(picture).numpy()
                image = tf.constant([str(width).encode(), str(height).encode(), encoded])
                tf.summary.write(f"alignment/{index + 1}", image, metadata=_metadata("images", _BLOBS))
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        self._writer.close()

    def _pictures(self):
        with averaged_weights(self.model):
            if self._twin is not self.model:
                copy_weights(self.model, self._twin)
            aligned = {name: x.numpy() for name, x in self._translator.align(self._sources).items()}
        for source, target, weights in zip(*aligned.values(), strict=True):
            grey = weights[: sum(map(bool, target)), : sum(map(bool, source))]
            squares = np.repeat(np.repeat(grey, _PIXELS, axis=0), _PIXELS, axis=1)[
                :, :, None
            ]  # [16 T, 16 S, 1]
            yield np.clip(255 * squares, 0, 255).astype(np.uint8)


# `DataClass` of TensorBoard's summaries.
_SCALAR, _BLOBS = 1, 3


def _metadata(plugin, data_class):
    data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin)
    return tf.compat.v1.SummaryMetadata(plugin_data=data, data_class=data_class)
