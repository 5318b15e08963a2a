"""Folders that a killed export leaves: named so that they are known again, and removed by the next one."""

import contextlib
import fcntl
import logging
import os
import platform
import re
import shutil
import tempfile
from pathlib import Path

_log = logging.getLogger("keras_attn.export")


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
