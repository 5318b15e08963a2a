"""Lists of ids, kept end to end, of which any choice is padded at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.tokenizers import special_ids


class PaddedRows:
    """Rows of ids of any lengths.

    A Python loop over the rows of a batch costs more than a small model's training step; here a batch is one
    look-up.

    Args:
        rows: int32 id arrays, without start and end.

    >>> PaddedRows([[5, 6], [7]]).padded([1, 0], 3).tolist()
    [[7, 2, 0], [5, 6, 2]]
    """

    def __init__(self, rows: Sequence[Any]):
        self._lengths = np.array([len(row) for row in rows], np.int64)
        ends = np.cumsum(self._lengths + 2) - 1
        self._begins = ends - self._lengths - 1
        self._ids = np.zeros(int((self._lengths + 2).sum()), np.int32)
        marks = np.zeros(len(self._ids), bool)
        marks[self._begins] = marks[ends] = True
        self._ids[self._begins] = special_ids.START
        self._ids[ends] = special_ids.END
        self._ids[~marks] = np.concatenate([np.zeros(0, np.int32), *rows])

    def padded(self, chosen: Any, width: int, start: bool = False) -> np.ndarray:
        """Some rows with one token more, and then pads.

        Args:
            chosen: indices of rows `[B]`.
            width: of the result; at least one more than the longest of them.
            start: whether the start token comes before each row, instead of the end token after it.

        Returns:
            int32 `[B, width]`.
        """
        places = np.arange(width)
        begins = self._begins[chosen] + (0 if start else 1)
        found = self._ids.take(begins[:, None] + places, mode="clip")  # [B, width]
        return np.where(places < self._lengths[chosen][:, None] + 1, found, np.int32(special_ids.PAD))
