"""The folder of a run that several processes train."""

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from keras_attn.training.distribution.processes import Processes
from keras_attn.training.run.run_folder import NEEDED_TO_GO_ON, RunFolder

_PIECE = 1 << 24  # bytes that are sent at once


@contextmanager
def shared_run(processes: Processes, run: RunFolder, prepare: Callable[[], object]) -> Iterator[RunFolder]:
    """Gives every process a run folder that begins with the files of the first one's.

    Every process runs every operation on the weights, saving included: gathering a sharded value is a
    collective call. Only the files of the first process are kept; the others write into a temporary folder.
    No disk need be shared.

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
                for name in NEEDED_TO_GO_ON:
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
