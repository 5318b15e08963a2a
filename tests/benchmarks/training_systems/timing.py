"""What all systems share: sizes, the batch, and how steps are timed."""

import json
import sys
import time
from typing import NamedTuple

import numpy as np

START, FIRST = 1, 4  # ids from FIRST on are words; 0 pads
VOCABULARY = 10_000
LABEL_SMOOTHING = 0.1
LEARNING_RATE = 1e-3
CLIP_NORM = 1.0
EPSILON = 1e-5
# Settings of `TransformerSeq2Seq`, by name: those of its presets.
SIZES = {
    "tiny": {
        "num_encoder_layers": 4,
        "num_decoder_layers": 4,
        "embedding_dim": 128,
        "num_heads": 4,
        "hidden_dim": 256,
        "dropout": 0.3,
    },
    "small": {
        "num_encoder_layers": 3,
        "num_decoder_layers": 3,
        "embedding_dim": 256,
        "num_heads": 4,
        "hidden_dim": 1024,
        "dropout": 0.1,
    },
}


class Cell(NamedTuple):
    """What one process measures."""

    kind: str
    size: str
    dtype: str
    rows: int
    length: int
    threads: int
    rounds: int
    steps: int


def cell():
    """The cell that the command line names."""
    kind, size, dtype, *numbers = sys.argv[1:]
    return Cell(kind, size, dtype, *map(int, numbers))


def batch(cell):
    """Source ids, the target moved by one place, and the target: each `[B, T]`, a quarter of a row padded."""
    rng = np.random.default_rng(11)
    source, labels = rng.integers(FIRST, VOCABULARY, (2, cell.rows, cell.length)).astype(np.int32)
    for ids in (source, labels):
        lengths = rng.integers(cell.length // 2, cell.length + 1, cell.rows)
        ids[np.arange(cell.length) >= lengths[:, None]] = 0
    target = np.concatenate([np.full((cell.rows, 1), START, np.int32), labels[:, :-1]], axis=1)
    return source, target, labels


def report(cell, train):
    """Calls `train`, which makes that many steps and returns a loss, and prints the seconds of a step."""
    seconds = []
    for turn in range(cell.rounds + 1):
        begin = time.perf_counter()
        loss = train(cell.steps)
        if turn:  # the first one compiles
            seconds.append((time.perf_counter() - begin) / cell.steps)
        if not 0 < loss < 2 * np.log(VOCABULARY):
            raise AssertionError(
                f"Expected a loss between 0 and {2 * np.log(VOCABULARY):.1f}. Received: {loss}."
            )
    print(json.dumps(seconds))


def report_fit(cell, model):
    """`report` of `model.fit` on a `tf.data` pipeline, for a model that takes `source` and `target`."""
    import tensorflow as tf

    source, target, labels = batch(cell)
    data = tf.data.Dataset.from_tensors(({"source": source, "target": target}, labels)).cache().repeat()

    def train(steps):
        return model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0).history["loss"][-1]

    report(cell, train)


def limit_threads(cell):
    """Before TensorFlow does anything."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(cell.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
