"""Batches of texts that are cut into other subwords in every epoch."""

import numpy as np

from keras_attn.training.batches.batch_sequence import Batch, BatchSequence, WrappedBatches
from keras_attn.training.batches.batches import rounded, teacher_forced
from keras_attn.training.batches.padded_rows import PaddedRows
from keras_attn.training.batches.sampled_texts import SampledTexts


class SubwordSampling(WrappedBatches):
    """Takes the ids of an epoch from texts that are cut at random, and the pairs of a batch from `batches`.

    The widths of a batch are those that the epoch's ids need, and differ from epoch to epoch. Where `batches`
    counts tokens, it counts those of the first epoch.

    Args:
        batches: a `BatchSequence` of the ids of epoch 0.
        sources: `SampledTexts`.
        targets: `SampledTexts`, aligned.
        width_step: the widths are made a multiple of it: more is fewer shapes, and more padding.
        epochs: number of epochs that sample, after which texts are cut as always; 0 is all of them.
    """

    def __init__(
        self,
        batches: BatchSequence,
        sources: SampledTexts,
        targets: SampledTexts,
        width_step: int = 1,
        epochs: int = 0,
    ):
        super().__init__(batches)
        self._texts = (sources, targets)
        self._width_step = width_step
        self._epochs = epochs
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Shuffles, and draws the subwords."""
        super().begin_epoch(epoch, first_batch)
        samples = not self._epochs or epoch < self._epochs
        drawn = [texts.rows(epoch) if samples else texts.usual_rows for texts in self._texts]
        self._sources, self._targets = (PaddedRows(rows) for rows in drawn)
        self.widths = 1 + np.array([[len(row) for row in rows] for rows in drawn]).T  # [N, 2]

    def __getitem__(self, index: int) -> Batch:
        return teacher_forced(self._sources, self._targets, self.members(index), self.padded_widths(index))

    def padded_widths(self, index: int) -> tuple[int, int]:
        """Source and target width that the drawn ids need."""
        return rounded(self.widths[self.members(index)].max(axis=0), self._width_step)

    def summary(self) -> str:
        """One line on the batches of the present epoch."""
        return f"{BatchSequence.summary(self)}, of the first epoch's subwords"
