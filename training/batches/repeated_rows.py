"""Batches with every pair twice, for two passes with different dropout."""

import numpy as np

from keras_attn.training.batches.batch_sequence import Batch, BatchSequence, WrappedBatches


class EveryRowTwice(WrappedBatches):
    """Gives every pair twice, the second time right after the first: batches are `[2 B, ...]`.

    Neighbours stay together when a batch is cut among devices, if each gets an even number of rows.
    Therefore a batch is filled up with rows of padding, which count nothing, to a number of pairs that the
    devices can share. Shapes and summary are those of pairs.

    Args:
        batches: a `BatchSequence`.
        multiple: the number of pairs is made a multiple of it.
        after: number of epochs that give every pair once, before those that give it twice.

    Reference: Wu et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, section 2.1.
    """

    def __init__(self, batches: BatchSequence, multiple: int = 1, after: int = 0):
        super().__init__(batches)
        self._multiple = multiple
        self._after = after

    def __getitem__(self, index: int) -> Batch:
        inputs, labels = super().__getitem__(index)
        if self.epoch < self._after:
            return inputs, labels
        missing = -len(labels) % self._multiple

        def twice(rows):
            return np.repeat(np.pad(rows, ((0, missing), (0, 0))), 2, axis=0)

        return {name: twice(rows) for name, rows in inputs.items()}, twice(labels)
