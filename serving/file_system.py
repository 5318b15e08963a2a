"""Files by path or URL: local ones through the system, `gs://`, `ram://` and others through TensorFlow.

Local paths never go through TensorFlow, so that their errors, links and races stay those of the system. What
TensorFlow reports becomes an `OSError`, so that callers know one kind of error.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

_ERRNOS = {
    "NotFoundError": errno.ENOENT,
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "FailedPreconditionError": errno.ENOTDIR,
    "UnimplementedError": errno.EPROTONOSUPPORT,
}


def is_url(path: str) -> bool:
    """Tells whether a path belongs to one of TensorFlow's file systems."""
    return "://" in path


def list_names(path: str) -> list[str]:
    """Lists the names in a directory, sorted.

    Raises:
        OSError: it cannot be read.
    """
    if not is_url(path):
        return sorted(os.listdir(path))
    with _as_os_errors(path) as gfile:
        if not gfile.isdir(path):
            gfile.stat(path)  # `listdir` would hide why: no access, no such file system
        # Object stores mark directories by a slash at the end.
        return sorted({name.rstrip("/") for name in gfile.listdir(path)} - {""})


def is_directory(path: str) -> bool:
    """Tells whether there is a directory of this name."""
    if not is_url(path):
        return os.path.isdir(path)
    with contextlib.suppress(OSError), _as_os_errors(path) as gfile:
        return gfile.isdir(path)
    return False


def exists(path: str) -> bool:
    """Tells whether there is a file or directory of this name."""
    if not is_url(path):
        return os.path.exists(path)
    with contextlib.suppress(OSError), _as_os_errors(path) as gfile:
        return gfile.exists(path)
    return False


def read_text(path: str) -> str:
    """Reads a UTF-8 text.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is no UTF-8.
    """
    if not is_url(path):
        with open(path, encoding="utf-8") as file:
            return file.read()
    with _as_os_errors(path) as gfile, gfile.GFile(path, "rb") as file:
        return file.read().decode("utf-8")


def stamps(folder: str) -> set[tuple[str, int, int]]:
    """Returns path, size and modification time in nanoseconds of what lies in a directory.

    Raises:
        OSError: it cannot be read, or changed meanwhile.
    """
    if not is_url(folder):
        with os.scandir(folder) as entries:
            return {(entry.path, (stat := entry.stat()).st_size, stat.st_mtime_ns) for entry in entries}
    with _as_os_errors(folder) as gfile:
        paths = [os.path.join(folder, name) for name in list_names(folder)]
        return {(path, (stat := gfile.stat(path)).length, stat.mtime_nsec) for path in paths}


@contextlib.contextmanager
def _as_os_errors(path: str) -> Iterator[object]:
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        number = _ERRNOS.get(type(error).__name__, errno.EIO)
        raise OSError(number, error.message, path) from error
