"""Batches of about equally many tokens, in few different shapes."""

from collections.abc import Sequence

import numpy as np

from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.buckets import Bucket, plan_buckets

# A bucket of fewer batches would bring the same pairs together again and again.
_LEAST_BATCHES = 4


class TokenBatches(Batches):
    """Batches by tokens instead of pairs; else as `Batches`.

    Pairs are put into buckets by the lengths of both sides (`plan_buckets`), and every batch of a bucket has
    the same shape, in every epoch: the fewer shapes, the fewer programs a compiler makes, and the fewer plans
    oneDNN keeps. A bucket is dealt into batches of equal size instead of full ones and a rest, because a step
    on a rest of three pairs would weigh as much as any other. What equal sizes leave over, fewer pairs than
    the bucket has batches, moves up to the next bucket that holds it: other pairs in every epoch. A bucket
    that no other holds has batches of n and n + 1 pairs instead.

    With a seed, pairs are dealt anew and batches come in another order in each epoch, of which (seed, epoch)
    decides. Without one, both keep theirs.

    Args:
        sources: list of int32 id arrays, without start and end.
        targets: a list of the same length.
        batch_tokens: B times the larger of S and T, start, end and pads included, is at most this (as the
            `--max-tokens` of fairseq); a pair that is longer makes a batch of its own.
        seed: None keeps the order of the pairs.
        max_buckets: the largest number of buckets; there are few more shapes than buckets.

    >>> rows = [np.full(length, 7, np.int32) for length in (3, 1, 1, 3, 1)]
    >>> batches = TokenBatches(rows, rows, batch_tokens=6)
    >>> batches.shapes
    [(1, 4, 4), (3, 2, 2)]
    >>> batches.summary()
    '3 batches an epoch in 2 shapes, 0.0% padding'
    """

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        batch_tokens: int,
        seed: int | None = None,
        max_buckets: int = 24,
    ):
        self._plan = (batch_tokens, max_buckets, 1 if seed is None else _LEAST_BATCHES)
        self._buckets: list[Bucket] | None = None
        super().__init__(sources, targets, batch_tokens, seed)

    def __len__(self) -> int:
        return len(self._order)

    def _batches_of(self, epoch):
        if self._buckets is None:
            self._buckets = plan_buckets(self.widths, *self._plan) if len(self.widths) else []
        random = None if self._seed is None else np.random.default_rng((self._seed, epoch))
        moved, batches = [np.zeros(0, np.int64)] * len(self._buckets), []
        for index, bucket in enumerate(self._buckets):
            members = np.concatenate([bucket.members, moved[index]])
            members = members if random is None else random.permutation(members)
            count = -(-len(members) // bucket.max_rows(self._plan[0]))
            above = self._above(index)
            left = len(members) % count if above else 0
            if left:
                moved[above] = np.concatenate([moved[above], members[-left:]])
                members = members[:-left]
            batches += [(chosen, bucket.widths) for chosen in np.array_split(members, count)]
        if random is not None:
            random.shuffle(batches)
        return batches

    def _above(self, index):
        """The index of the smallest bucket that holds the pairs of this one too, or None."""
        widths = self._buckets[index].widths
        for other in range(index + 1, len(self._buckets)):
            if all(a >= b for a, b in zip(self._buckets[other].widths, widths, strict=True)):
                return other
        return None
