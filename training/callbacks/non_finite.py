"""Stops a training whose numbers are no numbers any more, and says which pairs it was."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_attn.errors import UserError
from keras_attn.training.batches.batch_sequence import BatchSequence
from keras_attn.training.callbacks.interrupted_epoch import InterruptedEpoch, batches_before
from keras_attn.training.data.pairs import Pair
from keras_attn.training.data.text_files import DataError
from keras_attn.training.distribution.backends import synchronized
from keras_attn.training.run.run_folder import RunFolder


class NonFiniteError(UserError, ArithmeticError):
    """A loss or a gradient that is not finite; the message says where and what to do."""


class NonFiniteStop(keras.callbacks.Callback):
    """Stops at the first batch whose loss or gradient is not finite.

    Its place and its pairs, with the lines of the file that hold them, go to `non_finite.json` in the run
    folder. No checkpoint is written after it, so that the last one is from before.

    It must stand before the callback that writes checkpoints.

    Args:
        run: the `RunFolder`.
        batches: the `Batches` that are trained on.
        pairs: the pairs that they are made of, as text.
        lines_of: a function of a list of pairs that finds the lines of each, such as `line_numbers`.
        begun: the `InterruptedEpoch` that goes on, or None.
    """

    def __init__(
        self,
        run: RunFolder,
        batches: BatchSequence,
        pairs: Sequence[Pair],
        lines_of: Callable[[list[Pair]], list[list[int]]],
        begun: InterruptedEpoch | None = None,
    ):
        super().__init__()
        self._run = run
        self._batches = batches
        self._pairs = pairs
        self._lines_of = lines_of
        self._begun = begun

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes where it begins."""
        self._epoch = epoch
        self._first_batch = batches_before(self._begun, epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss and at the norm of the gradient."""
        norm = getattr(synchronized(self.model).optimizer, "gradient_norm", 0.0)
        loss, norm = logs["loss"], float(keras.ops.sum(norm))  # a variable of several devices is no number
        if math.isfinite(loss) and math.isfinite(norm):
            return
        name, index = ("gradient" if math.isfinite(loss) else "loss"), self._first_batch + batch
        path = self._run.path / "non_finite.json"
        self._run.write_text(path.name, json.dumps(self._account(index, name), indent=1, ensure_ascii=False))
        raise NonFiniteError(
            f"The {name} is not finite in epoch {self._epoch + 1}, batch {index + 1}. Expected numbers. "
            f"Received: loss {loss}, norm of the gradient {norm}. The pairs of the batch and their lines are "
            f"in {path}; {self._what_is_kept()}. Look at the pairs; lower training.learning_rate, set "
            "training.clip_norm or warm up for longer, and train into another --run folder."
        )

    def _what_is_kept(self):
        checkpoint = self._run.checkpoint().path
        if checkpoint is None:
            return "there is no checkpoint yet"
        return f"the last checkpoint ({checkpoint}) is from before"

    def _account(self, index, name):
        pairs = [self._pairs[member] for member in self._batches.members(index)]
        try:
            lines = self._lines_of(pairs)
        except DataError as error:  # the files are gone; the texts say enough
            lines = str(error)
        return {
            "what": name,
            "epoch": self._epoch + 1,
            "batch": index + 1,
            "lines": lines,
            "source": [source for source, _ in pairs],
            "target": [target for _, target in pairs],
        }
