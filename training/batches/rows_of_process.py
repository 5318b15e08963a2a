"""The share of one process in every batch."""

import numpy as np

from keras_attn.training.batches.batch_sequence import Batch, BatchSequence, WrappedBatches


class RowsOfProcess(WrappedBatches):
    """Gives one of several processes its rows of every batch.

    For `keras.distribution.DataParallel(auto_shard_dataset=False)` on the JAX backend, which makes one array
    of the rows of all processes, so that the loss is that of the whole batch. All processes make the same
    batches, and each must give equally many rows for every device: a batch is filled up with rows of padding,
    which count nothing in its loss. (The mean that `fit` shows for an epoch weighs a batch by its rows, these
    included.)

    Args:
        batches: a `BatchSequence`.
        index: number of this process, from 0.
        count: number of processes.
        num_devices: of all of them; one per process when None.
    """

    def __init__(self, batches: BatchSequence, index: int, count: int, num_devices: int | None = None):
        super().__init__(batches)
        self._index = index
        self._count = count
        self._num_devices = num_devices or count

    def __getitem__(self, index: int) -> Batch:
        inputs, labels = super().__getitem__(index)
        missing = -len(labels) % self._num_devices

        def own(rows):
            return np.pad(rows, ((0, missing), (0, 0)))[self._index :: self._count]

        return {name: own(rows) for name, rows in inputs.items()}, own(labels)
