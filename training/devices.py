"""The devices that a training runs on."""

from contextlib import nullcontext

import numpy as np
import tensorflow as tf


def device_scope(devices):
    """Where the model must be made, to be trained on these devices of one machine.

    With `"all"`, a batch is shared out among them by `tf.distribute.MirroredStrategy`, and each has a copy of
    the weights. The loss is then the mean over devices of the mean over a device's tokens, which is that of
    one device where all have equally many. Keras clips the gradient of each device, before they are added up:
    `clip_norm` then binds less often than on one device.

    Args:
        devices: `"one"`, or `"all"` GPUs; without a GPU, all logical CPUs.

    Returns:
        A context manager.
    """
    if devices == "one":
        return nullcontext()
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in found]).scope()


def loss_weight():
    """What a loss that is a mean by itself counts on each of the devices of the present scope, for `compile`.

    TensorFlow adds the gradients of the devices, and Keras divides a loss by their number only where it takes
    the mean itself. `SequenceCrossentropy` has taken it already, over tokens.

    Returns:
        None for one device, else one over their number.
    """
    count = tf.distribute.get_strategy().num_replicas_in_sync
    return None if count == 1 else 1.0 / count


def with_rows_of_process(kind, index, count):
    """A class of batches that gives one of several processes its rows of every batch.

    For `keras.distribution.DataParallel(auto_shard_dataset=False)` on the JAX backend, which makes one array
    of what the processes give, so that the loss is that of the whole batch. All processes make the same
    batches, and of each they must give equally many rows: it is filled up with rows of pads, which count
    nothing.

    Args:
        kind: `Batches` or a class derived from it.
        index: number of this process, from 0.
        count: number of processes.

    Returns:
        A class derived from `kind`.
    """

    class RowsOfProcess(kind):
        def __getitem__(self, batch):
            inputs, labels = super().__getitem__(batch)
            missing = -len(labels) % count
            parts = {**inputs, "labels": labels}
            filled = {
                name: np.pad(rows, ((0, missing), (0, 0)))[index::count] for name, rows in parts.items()
            }
            return {name: filled[name] for name in inputs}, filled["labels"]

    return RowsOfProcess
