"""Training by several processes, on one machine or on many: JAX, by `keras.distribution`."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_attn.training.errors import RunError
from keras_attn.training.recipe.toml import dump_recipe
from keras_attn.training.run.run_folder import RunFolder

_PREFIX = "KERAS_DISTRIBUTION_"
_VARIABLES = tuple(_PREFIX + name for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
_NEEDED_TO_GO_ON = ("recipe.toml", "tokenizer", "checkpoints", "history.json", "averaged.keras")
_PIECE = 1 << 24  # bytes that are sent at once


class Processes(NamedTuple):
    """The processes that train one model together.

    Attributes:
        index: number of this process, from 0. The first one owns the run folder.
        count: number of processes.
    """

    index: int = 0
    count: int = 1


ALONE = Processes()


def is_alone():
    """Whether the environment speaks of no other processes; see `join_processes`."""
    return not any(os.environ.get(name) for name in _VARIABLES)


def join_processes():
    """Joins the processes that the environment speaks of, before anything else is computed.

    `KERAS_DISTRIBUTION_JOB_ADDRESSES` is host and port of the first process, which the others must reach;
    `KERAS_DISTRIBUTION_NUM_PROCESSES` their number, `KERAS_DISTRIBUTION_PROCESS_ID` that of this one. It
    waits until all are there.

    Returns:
        `Processes`; one, where the environment says nothing.

    Raises:
        RunError: on another backend than JAX, or if the variables do not fit together.
    """
    address, count, index = (os.environ.get(name, "") for name in _VARIABLES)
    if is_alone():
        return ALONE
    if not (address and count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise RunError(
            f"Several processes need {', '.join(_VARIABLES)}. Expected host:port of the first process, their "
            f"number, and the number of this one, from 0. Received: {address!r}, {count!r}, {index!r}."
        )
    import keras

    if keras.backend.backend() != "jax":
        raise RunError(
            f"Several processes train on JAX alone. Expected KERAS_BACKEND=jax. Received: "
            f"{keras.backend.backend()}. Set it, and export the run on TensorFlow afterwards."
        )
    keras.distribution.initialize(address, int(count), int(index))
    return Processes(int(index), int(count))


def check_agreement(processes, recipe, corpus):
    """Refuses processes that would train something else than the first.

    Args:
        processes: `Processes`.
        recipe: the `Recipe` of this process; `data.folder` may differ.
        corpus: its `PairsSplit`.

    Raises:
        RunError: in every process, if some have another recipe or other pairs.
    """
    if processes.count == 1:
        return
    from jax.experimental.multihost_utils import process_allgather

    given = {
        "recipes": [dump_recipe(replace(recipe, data=replace(recipe.data, folder=".")))],
        "pairs": (text for part in corpus for pair in part for text in pair),
    }
    digests = np.array([_digest(texts) for texts in given.values()], np.uint32)
    everywhere = process_allgather(digests)  # [processes, 2]
    differing = [
        name for name, column in zip(given, everywhere.T, strict=True) if len(set(column.tolist())) > 1
    ]
    if differing:
        raise RunError(
            f"The {processes.count} processes have different {' and '.join(differing)}. Expected the same "
            "recipe, the same --set and the same files for all. Copy them from the first machine."
        )


@contextmanager
def shared_run(processes, run, prepare):
    """A run folder for every process, that all begin with what is in the first one's.

    All processes do all that touches the weights, saving them too: a value of all of them has to be asked for
    by all of them. Only what the first writes is kept; the others write into a temporary folder. No disk need
    be shared.

    Args:
        processes: `Processes`.
        run: the `RunFolder` of the first.
        prepare: called in the first process alone, before the others get their copy.

    Yields:
        The `RunFolder` of this process.
    """
    if processes.index == 0:
        prepare()
    if processes.count == 1:
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="keras-attn-") as folder:
        packed, own = Path(folder, "run.tar"), Path(folder, "run")
        if processes.index == 0:
            with tarfile.open(packed, "w") as archive:
                for name in _NEEDED_TO_GO_ON:
                    if (run.path / name).exists():
                        archive.add(run.path / name, name)
        _send(packed, processes)
        if processes.index:
            with tarfile.open(packed) as archive:
                archive.extractall(own, filter="data")
        packed.unlink()
        yield RunFolder(own) if processes.index else run
        shutil.rmtree(own, ignore_errors=True)


def _send(path, processes):
    """Gives every process the file that the first one has at `path`."""
    from jax.experimental.multihost_utils import broadcast_one_to_all

    first = processes.index == 0
    # Two numbers, because JAX counts in 32 bits.
    size = np.array(divmod(path.stat().st_size, _PIECE) if first else (0, 0), np.int32)
    whole, rest = broadcast_one_to_all(size).tolist()
    with open(path, "rb" if first else "wb") as file:
        for length in [_PIECE] * whole + [rest] * bool(rest):
            piece = np.frombuffer(file.read(length), np.uint8) if first else np.zeros(length, np.uint8)
            piece = broadcast_one_to_all(piece)
            if not first:
                file.write(np.asarray(piece, np.uint8).tobytes())


def _digest(texts):
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(text.encode() + b"\0")
    return int.from_bytes(hashed.digest()[:4], "big")  # JAX counts in 32 bits
