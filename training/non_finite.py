"""Stops a training whose numbers are no numbers any more, and says which pairs it was."""

import json
import math

import keras
import tensorflow as tf

from keras_attn.text import special_ids

from .interrupted_epoch import batches_before


class NonFiniteError(ArithmeticError):
    """A loss or a gradient that is not finite; the message says where and what to do."""


class NonFiniteStop(keras.callbacks.Callback):
    """Stops at the first batch whose loss or gradient is not finite.

    Its place and its pairs go to `non_finite.json` in the run folder. No checkpoint is written after it, so
    that the last one is from before.

    It must stand before the callback that writes checkpoints.

    Args:
        run: the `RunFolder`.
        batches: the `Batches` that are trained on.
        tokenizers: (source, target), to write the pairs as text.
        begun: the `InterruptedEpoch` that goes on, or None.
    """

    def __init__(self, run, batches, tokenizers, begun=None):
        super().__init__()
        self._run = run
        self._batches = batches
        self._tokenizers = tokenizers
        self._begun = begun

    def on_epoch_begin(self, epoch, logs=None):
        """Notes where it begins."""
        self._epoch = epoch
        self._first_batch = batches_before(self._begun, epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss and at the norm of the gradient."""
        norm = getattr(self.model.optimizer, "gradient_norm", 0.0)
        loss, norm = logs["loss"], float(keras.ops.convert_to_tensor(norm))
        if math.isfinite(loss) and math.isfinite(norm):
            return
        name, index = ("gradient" if math.isfinite(loss) else "loss"), self._first_batch + batch
        path = self._run.path / "non_finite.json"
        self._run.write_text(path.name, json.dumps(self._account(index, name), indent=1, ensure_ascii=False))
        raise NonFiniteError(
            f"The {name} is not finite in epoch {self._epoch + 1}, batch {index + 1}. Expected numbers. "
            f"Received: loss {loss}, norm of the gradient {norm}. The pairs of the batch are in {path}; the "
            f"last checkpoint ({self._run.checkpoint().path}) is from before. Look at the pairs; lower "
            "training.learning_rate, set training.clip_norm or warm up for longer, and train into another "
            "--run folder."
        )

    def _account(self, index, name):
        inputs, labels = self._batches[index]
        return {
            "what": name,
            "epoch": self._epoch + 1,
            "batch": index + 1,
            "source": _texts(self._tokenizers[0], inputs["source"]),
            "target": _texts(self._tokenizers[1], labels),
        }


def _texts(tokenizer, rows):
    ids = [[int(token) for token in row if token not in (special_ids.PAD, special_ids.END)] for row in rows]
    texts = tokenizer.decode(tf.ragged.constant(ids, tf.int32, ragged_rank=1))
    return [text.decode(errors="replace") for text in texts.numpy()]
