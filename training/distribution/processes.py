"""Training by several processes, on one machine or on many: JAX, by `keras.distribution`."""

import hashlib
import os
from dataclasses import dataclass, replace

import numpy as np

from keras_attn.training.data.split import PairsSplit
from keras_attn.training.errors import RunError
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.recipe.toml import dump_recipe

_PREFIX = "KERAS_DISTRIBUTION_"
_VARIABLES = tuple(_PREFIX + name for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together.

    Attributes:
        index: number of this process, from 0. The first one owns the run folder.
        count: number of processes.
    """

    index: int = 0
    count: int = 1


ALONE = Processes()


def declared_processes() -> Processes:
    """The processes that the environment names, of which none is joined yet; `ALONE` where it names none.

    `KERAS_DISTRIBUTION_JOB_ADDRESSES` is host and port of the first process, which the others must reach;
    `KERAS_DISTRIBUTION_NUM_PROCESSES` their number, `KERAS_DISTRIBUTION_PROCESS_ID` that of this one.

    Raises:
        RunError: if the variables do not fit together.
    """
    address, count, index = (os.environ.get(name, "") for name in _VARIABLES)
    if not (address or count or index):
        return ALONE
    if not (address and count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise RunError(
            f"Several processes need {', '.join(_VARIABLES)}. Expected host:port of the first process, their "
            f"number, and the number of this one, from 0. Received: {address!r}, {count!r}, {index!r}."
        )
    return Processes(int(index), int(count))


def join_processes() -> Processes:
    """Joins the `declared_processes` before anything else is computed, and waits until all are there.

    Raises:
        RunError: on another backend than JAX, or if the variables do not fit together.
    """
    processes = declared_processes()
    if processes.count == 1:
        return processes
    import keras

    if keras.backend.backend() != "jax":
        raise RunError(
            f"Several processes train on JAX alone. Expected KERAS_BACKEND=jax. Received: "
            f"{keras.backend.backend()}. Set it, and export the run on TensorFlow afterwards."
        )
    keras.distribution.initialize(os.environ[_VARIABLES[0]], processes.count, processes.index)
    return processes


def check_agreement(processes: Processes, recipe: Recipe, corpus: PairsSplit) -> None:
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


def _digest(texts):
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(text.encode() + b"\0")
    return int.from_bytes(hashed.digest()[:4], "big")  # JAX counts in 32 bits
