"""The devices that a training runs on."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from keras_attn.training.distribution.processes import Processes
from keras_attn.training.errors import RunError
from keras_attn.typing import Model


def device_scope(devices: str) -> AbstractContextManager[Any]:
    """The scope to make a model in that is trained on these devices of one machine.

    With `"all"`, a batch is shared out among them by `tf.distribute.MirroredStrategy`, and each has a copy of
    the weights. The loss is then the mean over devices of the mean over a device's tokens, which is that of
    one device where all have equally many. Keras clips the gradient of each device, before they are added up:
    `clip_norm` then binds less often than on one device.

    Args:
        devices: `"one"`, or `"all"` GPUs; without a GPU, all logical CPUs.

    Returns:
        A context manager; on another backend than TensorFlow it does nothing, see `data_parallel`.
    """
    if devices == "one" or keras.backend.backend() != "tensorflow":
        return nullcontext()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in found]).scope()


def scope_of(model: Model) -> AbstractContextManager[Any]:
    """The scope that a model was made in, where it must be compiled, and a twin of it made."""
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's alone
    return strategy.scope() if strategy else nullcontext()


def data_parallel(devices: str, processes: Processes) -> tuple[AbstractContextManager[Any], int]:
    """The scope to make and train a model in on several devices of the JAX backend.

    With `"all"`, `keras.distribution.DataParallel` shares out every batch among the devices of all processes,
    and each has a copy of the weights. The loss, the gradient and what `clip_norm` makes of it are those of
    the whole batch, as on one device.

    Args:
        devices: `"one"` or `"all"`.
        processes: `Processes`.

    Returns:
        A context manager, and the number of devices that share the rows of a batch; on TensorFlow, whose
        strategy shares them out itself, 1.

    Raises:
        RunError: for several processes and `"one"`.
    """
    if processes.count > 1 and devices == "one":
        raise RunError(
            f'There are {processes.count} processes, and training.devices says one device. Expected "all". '
            "Set training.devices=all for every process."
        )
    if devices == "one" or keras.backend.backend() != "jax":
        return nullcontext(), 1
    found = keras.distribution.list_devices()
    distribution = keras.distribution.DataParallel(devices=found, auto_shard_dataset=False)
    return distribution.scope(), len(found)


def loss_weight() -> float | None:
    """The weight of a loss that is a mean, on each device of the present scope, for `compile`.

    TensorFlow adds the gradients of the devices, and Keras divides a loss by their number only where it takes
    the mean itself. `SequenceCrossentropy` has taken it already, over tokens.

    Returns:
        None for one device, else one over their number.
    """
    count = num_replicas()
    return None if count == 1 else 1.0 / count


def num_replicas() -> int:
    """The number of devices that TensorFlow shares batches out among, in the present scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync
