"""Bases of everything that makes the batches of an epoch."""

from abc import ABC, abstractmethod

import numpy as np
import tensorflow as tf

# Inputs by name and labels, NumPy arrays.
Batch = tuple[dict[str, np.ndarray], np.ndarray]


class BatchSequence(ABC):
    """The batches of an epoch; `dataset()` is what `model.fit` takes.

    Each is `({"source": [B, S], "target": [B, T]}, labels [B, T])`, int32 and padded with 0: the source ends
    with the end token, the target begins with the start token, the labels are the target one step ahead.

    Attributes:
        epoch: number of the present epoch, counted from 0.
        first_batch: the batch that `dataset()` starts with.
        widths: tokens of each pair with start or end, integers `[N, 2]`: of the source and of the target.
    """

    epoch: int
    first_batch: int
    widths: np.ndarray

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches of an epoch."""

    @abstractmethod
    def __getitem__(self, index: int) -> Batch:
        """The batch at `index` of the present epoch."""

    @abstractmethod
    def members(self, index: int) -> np.ndarray:
        """The indices of the pairs in the batch at `index` of the present epoch, `[B]`."""

    @abstractmethod
    def padded_widths(self, index: int) -> tuple[int, int]:
        """Source and target width of the batch at `index` of the present epoch."""

    @abstractmethod
    def begin_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Shuffles for epoch `epoch`, counted from 0.

        A run that is resumed sees the batches that an unbroken one would have seen.

        Args:
            epoch: its number.
            first_batch: the batch that `dataset()` starts with; those before it are not made.
        """

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The different (B, S, T) of the present epoch's batches, sorted."""
        batches = range(len(self))
        return sorted({(len(self.members(index)), *self.padded_widths(index)) for index in batches})

    @property
    def padding(self) -> float:
        """The share of positions that hold no token, of both sides."""
        positions = sum(
            len(self.members(index)) * sum(self.padded_widths(index)) for index in range(len(self))
        )
        return 1 - float(self.widths.sum()) / positions if positions else 0.0

    def summary(self) -> str:
        """One line on them, such as `5 batches an epoch in 2 shapes, 7.5% padding`."""
        return f"{len(self)} batches an epoch in {len(self.shapes)} shapes, {self.padding:.1%} padding"

    def dataset(self) -> tf.data.Dataset:
        """The batches of the present epoch as a `tf.data.Dataset`, those of a later one when iterated later.

        All sizes are unknown to TensorFlow. (Of a `keras.utils.PyDataset`, Keras takes the sizes that the
        first two batches share for fixed, and stops at the first batch of another length.) The number of
        batches is known, as it is when this is called: after an epoch that began at a later batch, take a
        new dataset for those that follow.
        """
        ids = tf.TensorSpec([None, None], tf.int32)
        dataset = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(self.first_batch, len(self))),
            output_signature=({"source": ids, "target": ids}, ids),
        )
        cardinality = tf.data.experimental.assert_cardinality(len(self) - self.first_batch)
        return dataset.apply(cardinality).prefetch(tf.data.AUTOTUNE)


class WrappedBatches(BatchSequence):
    """Batches that are made of other batches, one of one; a subclass changes what it overrides.

    Args:
        batches: a `BatchSequence`.
    """

    def __init__(self, batches: BatchSequence):
        self._batches = batches
        self.epoch, self.first_batch, self.widths = batches.epoch, batches.first_batch, batches.widths

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        return self._batches[index]

    def members(self, index: int) -> np.ndarray:
        """Those of the wrapped batch."""
        return self._batches.members(index)

    def padded_widths(self, index: int) -> tuple[int, int]:
        """Those of the wrapped batch."""
        return self._batches.padded_widths(index)

    def begin_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Begins it in the wrapped batches."""
        self._batches.begin_epoch(epoch, first_batch)
        self.epoch, self.first_batch = epoch, first_batch

    def summary(self) -> str:
        """That of the wrapped batches."""
        return self._batches.summary()
