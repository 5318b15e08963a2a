"""What all systems share: sizes, sources, and how a call is timed."""

import json
import sys
import time
from typing import NamedTuple

import numpy as np

SOURCE_LENGTH, NEW_TOKENS = 20, 30
START, END, FIRST = 1, 2, 4  # ids from FIRST on are words
# Settings of `TransformerSeq2Seq`, by name.
SIZES = {
    "small": {
        "num_encoder_layers": 3,
        "num_decoder_layers": 3,
        "embedding_dim": 256,
        "num_heads": 4,
        "hidden_dim": 1024,
    },
    "base": {
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "embedding_dim": 512,
        "num_heads": 8,
        "hidden_dim": 2048,
    },
}
VOCABULARY = {"small": 8000, "base": 32000}


class Cell(NamedTuple):
    """What one process measures."""

    folder: str
    kind: str
    size: str
    beam: int
    threads: int
    batch: int
    calls: int
    parts: int  # that the rows are decoded in, at once


def cell():
    """The cell that the command line names."""
    folder, kind, size, *numbers = sys.argv[1:]
    return Cell(folder, kind, size, *map(int, numbers))


def sources(cell):
    """Random ids `[B, S]` of words."""
    shape = (cell.batch, SOURCE_LENGTH)
    return np.random.default_rng(11).integers(FIRST, VOCABULARY[cell.size], shape).astype(np.int32)


def report(cell, decode):
    """Calls `decode`, which returns the number of new tokens a row, and prints the seconds of every call."""
    seconds = []
    for call in range(cell.calls + 2):
        begin = time.perf_counter()
        steps = decode()
        if call > 1:  # the first ones make kernels and lay weights out
            seconds.append(time.perf_counter() - begin)
        if steps != NEW_TOKENS:
            raise AssertionError(f"Expected {NEW_TOKENS} new tokens. Received: {steps}.")
    print(json.dumps(seconds))
