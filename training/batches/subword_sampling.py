"""Batches of texts that are cut into other subwords in every epoch."""

import numpy as np

from keras_attn.training.batches.batches import rounded
from keras_attn.training.batches.padded_rows import PaddedRows


def with_subword_sampling(kind, sources, targets, width_step=1, epochs=0):
    """A class of batches that takes the ids of an epoch from texts that are cut at random.

    The widths of a batch are those that the epoch's ids need, and differ from epoch to epoch. Where `kind`
    counts tokens, it counts those of the first epoch.

    Args:
        kind: `Batches` or a class derived from it.
        sources: `SampledTexts`.
        targets: likewise, aligned.
        width_step: what the widths are made a multiple of: more is fewer shapes, and more padding.
        epochs: number of epochs that sample, after which texts are cut as always; 0 is all of them.

    Returns:
        A class derived from `kind`, to be made with the ids of epoch 0.
    """

    class SubwordSampling(kind):
        def begin_epoch(self, epoch, first_batch=0):
            samples = not epochs or epoch < epochs
            drawn = [texts.rows(epoch) if samples else texts.usual_rows for texts in (sources, targets)]
            self._sources, self._targets = map(PaddedRows, drawn)
            super().begin_epoch(epoch, first_batch)
            widths = 1 + np.array([[len(row) for row in rows] for rows in drawn]).T  # [N, 2]
            self._order = [
                (chosen, rounded(widths[chosen].max(axis=0), width_step)) for chosen, _ in self._order
            ]

        def summary(self):
            return f"{super().summary()}, of the first epoch's subwords"

    return SubwordSampling
