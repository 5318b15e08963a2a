"""Batches of pairs of similar length, in an order that depends only on the seed and the epoch."""

from collections.abc import Sequence

import numpy as np

from keras_attn.training.batches.batch_sequence import Batch, BatchSequence
from keras_attn.training.batches.padded_rows import PaddedRows

# Sorting by length happens within this many batches: enough for little padding, few enough to stay random.
_POOL_BATCHES = 32


def rounded(widths: np.ndarray, step: int) -> tuple[int, int]:
    """Widths of a batch, each up to the next multiple of `step`."""
    return tuple((-(-np.asarray(widths) // step) * step).tolist())


def teacher_forced(
    sources: PaddedRows, targets: PaddedRows, chosen: np.ndarray, widths: tuple[int, int]
) -> Batch:
    """One batch of pairs; see `BatchSequence`.

    Args:
        sources: ids of all sources.
        targets: ids of all targets.
        chosen: indices of the pairs `[B]`.
        widths: source and target width.
    """
    source = sources.padded(chosen, widths[0])
    target = targets.padded(chosen, widths[1], start=True)
    labels = targets.padded(chosen, widths[1])
    return {"source": source, "target": target}, labels


class Batches(BatchSequence):
    """Batches by number of pairs; see `BatchSequence`.

    Args:
        sources: list of int32 id arrays, without start and end.
        targets: a list of the same length.
        batch_size: pairs a batch; the last one of an epoch may be smaller.
        seed: None keeps the order of the pairs, else they are shuffled anew by `begin_epoch`.

    Attributes:
        width_step: of the class; the widths of batches are made a multiple of it.
    """

    width_step = 1

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        batch_size: int,
        seed: int | None = None,
    ):
        lengths = [(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
        # One more on both sides: the source's end, and the target's start or the labels' end.
        self.widths = np.array(lengths, np.int64).reshape(-1, 2) + 1  # [N, 2]
        self._sources = PaddedRows(sources)
        self._targets = PaddedRows(targets)
        self._batch_size = batch_size
        self._seed = seed
        self.begin_epoch(0)

    def __len__(self) -> int:
        return -(-len(self.widths) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        return teacher_forced(self._sources, self._targets, *self._order[index])

    def members(self, index: int) -> np.ndarray:
        """The indices of the pairs in the batch at `index` of the present epoch, `[B]`."""
        return self._order[index][0]

    def padded_widths(self, index: int) -> tuple[int, int]:
        """Source and target width of the batch at `index` of the present epoch."""
        return self._order[index][1]

    def begin_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Shuffles for epoch `epoch`; see `BatchSequence.begin_epoch`."""
        self._order = self._batches_of(epoch)
        self.epoch = epoch
        self.first_batch = first_batch

    def _batches_of(self, epoch):
        """The batches of an epoch: indices of pairs, and (source width, target width)."""
        if self._seed is None:
            return self._cut(np.arange(len(self.widths)))
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self.widths))
        length = self.widths.sum(axis=1)
        pool_size = self._batch_size * _POOL_BATCHES
        pools = [order[begin : begin + pool_size] for begin in range(0, len(order), pool_size)]
        # Stable: how others break ties depends on the processor.
        batches = [
            batch for pool in pools for batch in self._cut(pool[np.argsort(length[pool], kind="stable")])
        ]
        random.shuffle(batches)
        return batches

    def _cut(self, order):
        parts = [order[begin : begin + self._batch_size] for begin in range(0, len(order), self._batch_size)]
        return [(part, rounded(self.widths[part].max(axis=0), self.width_step)) for part in parts]


class FewShapesBatches(Batches):
    """`Batches` for backends that compile every new shape: widths are multiples of 8, few and a bit wider."""

    width_step = 8
