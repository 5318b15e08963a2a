"""Rows of ids with start, end and pads."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.training.batches.padded_rows import PaddedRows

ROWS = st.lists(st.lists(st.integers(4, 97), max_size=5), max_size=7)


@given(ROWS, st.randoms(use_true_random=False), st.booleans(), st.integers(0, 3))
def test_against_a_loop(rows, random, start, spare):
    chosen = random.choices(range(len(rows)), k=3) if rows else []
    width = max((len(row) for row in rows), default=0) + 1 + spare
    padded = PaddedRows(rows).padded(np.array(chosen, np.int64), width, start)
    assert padded.dtype == np.int32
    expected = [[1, *rows[i]] if start else [*rows[i], 2] for i in chosen]
    assert padded.tolist() == [row + [0] * (width - len(row)) for row in expected]
