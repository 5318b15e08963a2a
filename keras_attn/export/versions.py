"""Writes a version directory whole or not at all, and removes what an interrupted export left."""

import contextlib
import fcntl
import logging
import os
import platform
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from keras_attn.errors import UserError

_log = logging.getLogger("keras_attn.export")


class BasePathError(UserError, FileExistsError):
    """A base path that cannot take the version: something else is there."""


@contextlib.contextmanager
def temporary_folder(folder, name):
    """Gives a hidden folder that says who writes it, and is locked while the block runs.

    Args:
        folder: where it stands.
        name: what its own name begins with, after a dot.

    Yields:
        Its path. Whatever stands there when the block ends, by an error too, is removed.
    """
    prefix = f".{name}-{_host()}-{os.getpid()}-"
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    lock = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the process number has to do
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_leftovers(folder, name):
    """Removes the folders of `temporary_folder` whose writers are dead.

    That of a writer on another machine is left alone, and so is one whose process number has gone to another
    process since: it can be removed by hand.

    Args:
        folder: where they stand.
        name: what their names begin with, after a dot; a pattern.
    """
    pattern = re.compile(rf"\.{name}-{re.escape(_host())}-(\d+)-\w+")
    for path in Path(folder).iterdir():
        match = pattern.fullmatch(path.name)
        if match and path.is_dir() and not _is_alive(int(match[1])) and _is_unlocked(path):
            try:
                shutil.rmtree(path)
            except OSError as error:
                _log.warning(
                    "%s is left of an export that was killed and cannot be removed: %s.", path, error
                )


def _host():
    return re.sub(r"\W", "_", platform.node())


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _is_unlocked(path):
    """Whether nobody holds the lock: in another container of this machine a live process is not seen."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


# What a version is, by a file that it has.
FORMATS = {"saved_model.pb": "a SavedModel", "model.bin": "a CTranslate2 model"}


def next_version(base_path):
    """One above the highest version in `base_path`; 1 where there is none."""
    base_path = Path(base_path)
    versions = (
        [int(child.name) for child in base_path.iterdir() if child.name.isdecimal()]
        if base_path.is_dir()
        else []
    )
    return max(versions, default=0) + 1


def free_version(base_path, version):
    """The path of a version that is not there yet; makes nothing.

    Args:
        base_path: the folder that holds the versions.
        version: a whole number of at least 1.

    Raises:
        ValueError: for a version that is no whole number of at least 1.
        BasePathError: if the version exists, or the base path is a file.
    """
    if type(version) is not int or version < 1:  # True is an instance of int
        raise ValueError(f"`version` must be a whole number of at least 1. Received: version={version!r}.")
    base_path = Path(base_path)
    if base_path.exists() and not base_path.is_dir():  # or the last rename would be the first to notice
        raise BasePathError(f"{base_path} is a file, expected a folder. Give another base path.")
    final = base_path / str(version)
    if final.exists():
        raise BasePathError(f"Version {version} exists already: {final}. Give another `version`, or none.")
    return final


@contextmanager
def published(base_path, version):
    """Gives a temporary folder to write to and renames it to `base_path/version` when the block succeeds.

    The temporary folder stands beside `base_path`, or inside where that is another file system or the folder
    around it cannot be written to, with a name that servers pass over. So the rename is atomic and a server
    that lists `base_path` never meets a partial version. When the block raises, by an interrupt too, it is
    removed; what a killed process left of this base path is removed by the next one.

    Args:
        base_path: the folder that holds the versions.
        version: a whole number of at least 1.

    Yields:
        (temporary path to write to, final path).

    Raises:
        ValueError, BasePathError: as `free_version`.
    """
    base_path = Path(base_path).absolute()
    final = free_version(base_path, version)
    base_path.parent.mkdir(parents=True, exist_ok=True)
    folder = _folder_to_write_in(base_path.resolve())
    remove_leftovers(folder, rf"{re.escape(base_path.name)}-\d+")
    with temporary_folder(folder, f"{base_path.name}-{version}") as temporary:
        yield temporary, final
        temporary.chmod(0o755)  # a temporary folder is for its owner alone; a server may be somebody else
        _flush(temporary)
        base_path.mkdir(exist_ok=True)
        temporary.rename(final)
        _flush_folder(base_path)


def check_format(base_path, marker):
    """Checks that a base path has versions of one format: a server takes the highest, whatever it is.

    Args:
        base_path: the folder that holds the versions.
        marker: a file that every version of the format has: a key of `FORMATS`.

    Raises:
        BasePathError: if there is a version of another format.
    """
    for other, what in FORMATS.items():
        if other != marker and any(Path(base_path).glob(f"*/{other}")):
            raise BasePathError(
                f"{base_path} holds {what} as a version. Expected another base path for {FORMATS[marker]}, "
                "since a server takes the highest version, whatever it is."
            )


def _folder_to_write_in(base_path):
    """A folder from which a rename into the base path is atomic."""
    parent = base_path.parent
    if not base_path.is_dir():
        return parent
    is_mounted = parent.stat().st_dev != base_path.stat().st_dev
    return base_path if is_mounted or not os.access(parent, os.W_OK) else parent


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
