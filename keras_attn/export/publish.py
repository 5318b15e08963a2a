"""Makes a version directory appear whole or not at all."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

from keras_attn.export.leftovers import remove_leftovers, temporary_folder


def next_version(base_path):
    """One above the highest version in `base_path`; 1 where there is none."""
    base_path = Path(base_path)
    versions = (
        [int(child.name) for child in base_path.iterdir() if child.name.isdecimal()]
        if base_path.is_dir()
        else []
    )
    return max(versions, default=0) + 1


@contextmanager
def published(base_path, version):
    """Gives a temporary folder to write to and renames it to `base_path/version` when the block succeeds.

    The temporary folder stands beside `base_path`, on the same file system, so the rename is atomic and a
    server that lists `base_path` never meets a partial version. When the block raises, by an interrupt too,
    it is removed; what a killed process left of this base path is removed by the next one.

    Args:
        base_path: the folder that holds the versions.
        version: a whole number of at least 1.

    Yields:
        (temporary path to write to, final path).

    Raises:
        ValueError: for a version that is no whole number of at least 1.
        FileExistsError: if the version exists.
    """
    if type(version) is not int or version < 1:  # True is an instance of int
        raise ValueError(f"`version` must be a whole number of at least 1. Received: version={version!r}.")
    base_path = Path(base_path).absolute()
    final = base_path / str(version)
    if final.exists():
        raise FileExistsError(f"Version {version} exists already: {final}. Give another `version`, or none.")
    base_path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(base_path.parent, rf"{re.escape(base_path.name)}-\d+")
    with temporary_folder(base_path.parent, f"{base_path.name}-{version}") as temporary:
        yield temporary, final
        temporary.chmod(0o755)  # a temporary folder is for its owner alone; a server may be somebody else
        _flush(temporary)
        base_path.mkdir(exist_ok=True)
        temporary.rename(final)
        _flush_folder(base_path)


def _flush(folder):
    """Has the disk keep every file before the rename makes it visible."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
