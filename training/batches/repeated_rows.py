"""Batches of which every pair is there twice, for two passes with different dropout."""

import numpy as np


def with_every_row_twice(kind, multiple=1, after=0):
    """A class of batches that gives every pair twice, the second time right after the first.

    Neighbours stay together when a batch is cut among devices, if each gets an even number of rows.
    Therefore a batch is filled up with rows of pads, which count nothing, to a number of pairs that the
    devices can share.

    Args:
        kind: `Batches` or a class derived from it.
        multiple: of which the number of pairs is one.
        after: number of epochs whose batches are `kind`'s own, before those that give every pair twice.

    Returns:
        A class derived from `kind`, whose batches are `[2 B, ...]`; what it says of its shapes, it says of
        pairs.

    Reference: Wu et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, section 2.1.
    """

    class EveryRowTwice(kind):
        def begin_epoch(self, epoch, first_batch=0):
            self._twice = epoch >= after
            super().begin_epoch(epoch, first_batch)

        def __getitem__(self, index):
            inputs, labels = super().__getitem__(index)
            if not self._twice:
                return inputs, labels
            missing = -len(labels) % multiple

            def twice(rows):
                return np.repeat(np.pad(rows, ((0, missing), (0, 0))), 2, axis=0)

            return {name: twice(rows) for name, rows in inputs.items()}, twice(labels)

    return EveryRowTwice
