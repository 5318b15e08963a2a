"""Buckets of pairs that are padded to one shape, chosen for little padding."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Bucket:
    """Pairs that are padded to the same widths.

    Args:
        widths: source and target width, the largest of its pairs.
        members: indices of the pairs, ascending.
    """

    widths: tuple[int, int]
    members: np.ndarray

    def max_rows(self, batch_tokens: int) -> int:
        """Pairs a batch: as many as keep the longer side within `batch_tokens`, and at least one."""
        return max(1, batch_tokens // max(self.widths))


def plan_buckets(widths: Any, batch_tokens: int, max_buckets: int, least_batches: int) -> list[Bucket]:
    """Divides pairs into buckets by their widths.

    One bucket of all pairs is cut in two where that saves the most padding, along the source or the target
    width, then the piece that gains the most is cut, and so on: wide buckets where pairs are few, narrow ones
    where they are many. The widths need no multiple of 8: it is the number of tokens of a batch that decides
    what matrix units are given.

    Args:
        widths: source and target width of each pair, integers `[N, 2]`.
        batch_tokens: places of the longer side a batch.
        max_buckets: the largest number of buckets.
        least_batches: a bucket fills about as many batches at least. Few pairs in a bucket would meet each
            other in the same batch again and again.

    Returns:
        List of `Bucket`, those with the least places a pair first.

    >>> [bucket.widths for bucket in plan_buckets([[3, 2], [9, 9], [3, 3], [8, 9]], 6, 2, 1)]
    [(3, 3), (9, 9)]
    """
    widths = np.asarray(widths)
    # Both widths in one integer: NumPy finds unique rows ten times as slowly.
    base = int(widths.max()) + 1
    keys, kind_of, counts = np.unique(widths @ [base, 1], return_inverse=True, return_counts=True)
    kinds = np.stack(np.divmod(keys, base), axis=1)  # [M, 2]
    least_tokens = least_batches * batch_tokens
    pieces = [_Piece(kinds, counts, np.arange(len(kinds)), least_tokens)]
    while len(pieces) < max_buckets:
        best = max(pieces, key=lambda piece: piece.saving)
        if not best.saving:
            break
        pieces.remove(best)
        pieces += (_Piece(kinds, counts, half, least_tokens) for half in best.halves)
    pieces.sort(key=lambda piece: (sum(piece.widths), piece.widths))
    number = np.empty(len(kinds), np.int64)
    for index, piece in enumerate(pieces):
        number[piece.chosen] = index
    of_pair = number[kind_of]
    return [Bucket(piece.widths, np.flatnonzero(of_pair == index)) for index, piece in enumerate(pieces)]


class _Piece:
    """Kinds of pairs (those of equal widths) that make a bucket, and the cut of it that saves the most.

    Args:
        kinds: widths of each kind `[M, 2]`.
        counts: pairs of each kind `[M]`.
        chosen: the kinds that are in.
        least_tokens: how many tokens a half fills at least.
    """

    def __init__(self, kinds, counts, chosen, least_tokens):
        self.chosen = chosen
        self.widths = tuple(kinds[chosen].max(axis=0).tolist())
        self.saving, self.halves = 0, ()
        for side in (0, 1):
            order = chosen[np.argsort(kinds[chosen, side], kind="stable")]
            saving, place = _best_cut(kinds[order], counts[order], side, least_tokens)
            if saving > self.saving:
                self.saving, self.halves = saving, (order[:place], order[place:])


def _best_cut(kinds, counts, side, least_tokens):
    """(places saved, where), for kinds in the order of one side; 0 places where no cut is allowed."""
    cuts = np.flatnonzero(np.diff(kinds[:, side])) + 1
    if not len(cuts):
        return 0, 0
    below = np.maximum.accumulate(kinds)[cuts - 1]  # [cuts, 2]: the widths of the lower half
    above = np.maximum.accumulate(kinds[::-1])[::-1][cuts]
    pairs_below = np.cumsum(counts)[cuts - 1]
    pairs_above = counts.sum() - pairs_below
    saved = counts.sum() * kinds.max(axis=0).sum()
    saved = saved - pairs_below * below.sum(axis=1) - pairs_above * above.sum(axis=1)
    full = np.minimum(pairs_below * below.max(axis=1), pairs_above * above.max(axis=1)) >= least_tokens
    saved = np.where(full, saved, 0)
    best = int(saved.argmax())
    return int(saved[best]), int(cuts[best])
