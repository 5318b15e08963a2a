"""Writes checkpoints and history while training."""

import resource
import sys
import time
from typing import Any

import keras

from keras_attn.training.callbacks.interrupted_epoch import InterruptedEpoch, batches_before, captured
from keras_attn.training.distribution.backends import synchronized
from keras_attn.training.recipe.recipe import Training
from keras_attn.training.run.best_epoch import History, is_exhausted, ranked
from keras_attn.training.run.history_plot import history_picture
from keras_attn.training.run.run_folder import RunFolder

# `ru_maxrss` counts kilobytes on Linux, bytes on macOS.
_MAXRSS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024


class CheckpointKeeper(keras.callbacks.Callback):
    """Writes a checkpoint and the history after every epoch, and checkpoints inside of it.

    It stops the training when no better epoch is in sight. To an entry of the history it adds `epoch`,
    `seconds` (of the epoch with its validation), `peak_memory_mb` (of the process so far) and
    `learning_rate` (of the next update).

    Args:
        run: the `RunFolder`.
        options: the recipe's `[training]` section.
        history: the entries of the epochs done.
        begun: the `InterruptedEpoch` that goes on, or None.

    Attributes:
        history: one dictionary an epoch.
    """

    def __init__(
        self, run: RunFolder, options: Training, history: History, begun: InterruptedEpoch | None = None
    ):
        super().__init__()
        self.history = history
        self._run = run
        self._options = options
        self._begun = begun

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._epoch = epoch
        self._first_step = batches_before(self._begun, epoch)
        earlier = self._begun.seconds if self._begun is not None and self._first_step else 0
        self._began = time.monotonic() - earlier

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes a checkpoint every `checkpoint_steps` batches, but not where the epoch ends."""
        done, every = self._first_step + batch + 1, self._options.checkpoint_steps
        if every and done % every == 0 and batch + 1 != self.params["steps"]:
            state = captured(synchronized(self.model), time.monotonic() - self._began)
            self._run.checkpoints.save(self.model, self._epoch, done, state)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes what the epoch came to, and stops if it is time."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        own = {
            "epoch": epoch + 1,
            "seconds": round(time.monotonic() - self._began, 2),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MAXRSS_PER_MB),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        self.history.append({**own, **values})
        monitor = self._options.monitor
        self._run.save_checkpoint(self.model, epoch + 1, self.history, monitor, self._averaged_epochs())
        self._run.write_text("history.svg", history_picture(self.history, monitor))
        if is_exhausted(self.history, monitor, self._options.patience):
            self.model.stop_training = True

    def _averaged_epochs(self):
        options = self._options
        last = self.history[-options.average_last :] if options.average_last else []
        best = ranked(self.history, options.monitor)[: options.average_best]
        return {entry["epoch"] for entry in last + best}
