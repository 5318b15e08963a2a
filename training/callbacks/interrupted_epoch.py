"""The state in the middle of an epoch that no `.keras` file holds."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_attn.training.batches.batch_sequence import BatchSequence
from keras_attn.training.callbacks.random_states import generator_states
from keras_attn.typing import Model


class InterruptedEpoch:
    """An epoch of which some batches are done.

    Args:
        epoch: its number, counted from 0.
        step: number of batches done.
        arrays: what `captured` gave after them.
    """

    def __init__(self, epoch: int, step: int, arrays: Mapping[str, np.ndarray]):
        self.epoch = epoch
        self.step = step
        self.seconds = float(arrays["seconds"])
        self._arrays = arrays

    def restore(self, model: Model, batches: BatchSequence) -> None:
        """Goes back to the state after `step` batches: their order, generators, and the loss so far.

        It must come after `fit` has reset its metrics. The epoch's loss is then that of all its batches.
        """
        batches.begin_epoch(self.epoch, first_batch=self.step)
        for name, variables in _variables(model).items():
            for index, variable in enumerate(variables):
                variable.assign(self._arrays[f"{name}_{index}"])


def batches_before(begun: InterruptedEpoch | None, epoch: int) -> int:
    """Number of batches of epoch `epoch` that were done before it goes on: 0 unless it is the `begun` one.

    Args:
        begun: an `InterruptedEpoch`, or None.
        epoch: counted from 0.
    """
    return begun.step if begun is not None and begun.epoch == epoch else 0


def captured(model: Model, seconds: float) -> dict[str, Any]:
    """The arrays of an `InterruptedEpoch`, by name; `seconds` is the time that its batches took."""
    arrays = {"seconds": seconds}
    for name, variables in _variables(model).items():
        for index, variable in enumerate(variables):
            arrays[f"{name}_{index}"] = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable))
    return arrays


def _variables(model):
    return {"generator": generator_states(model), "metric": model.metrics_variables}
