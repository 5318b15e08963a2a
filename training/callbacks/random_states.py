"""Random states that depend only on the seed, the epoch and the batch."""

from typing import Any

import keras
import numpy as np

from keras_attn.training.batches.batch_sequence import BatchSequence
from keras_attn.typing import Model


def seed_generators(model: Model, seed: int, epoch: int) -> None:
    """Gives every generator of a model (dropout's) the state with which it begins epoch `epoch`."""
    random = np.random.default_rng((seed, epoch))
    for variable in generator_states(model):
        variable.assign(random.integers(1 << 31, size=variable.shape))


def generator_states(model: Model) -> list[Any]:
    """The state variables of a model's generators in a fixed order. Keras does not save their values."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


class RepeatableEpochs(keras.callbacks.Callback):
    """Begins each epoch with an order of the pairs and with dropout that its number decides.

    Args:
        seed: an integer.
        batches: the `Batches` that are trained on.
        begun: an `InterruptedEpoch` that goes on where it stopped, or None.
    """

    def __init__(self, seed: int, batches: BatchSequence, begun: Any = None):
        super().__init__()
        self._seed = seed
        self._batches = batches
        self._begun = begun

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffles, and sets the generators."""
        if self._begun is not None and self._begun.epoch == epoch:
            self._begun.restore(self.model, self._batches)
            return
        self._batches.begin_epoch(epoch)
        seed_generators(self.model, self._seed, epoch)
