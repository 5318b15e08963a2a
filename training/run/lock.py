"""One owner at a time for the folder of a run."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_attn.training.errors import RunError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes of this machine out of a folder that they lock as well, while the block runs.

    The lock is the kernel's and of the folder itself: it leaves no file behind, and ends with the process,
    however that ends.

    Args:
        path: of the folder; made where it is not there.

    Raises:
        RunError: if another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise RunError(
            f"{path} is being trained by another process. Wait for it, or give another --run folder."
        ) from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(folder)
