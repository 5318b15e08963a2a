"""The versions of a model under its base path."""

from __future__ import annotations

import contextlib
import os
import re

from keras_attn.serving.file_system import is_directory, is_url, list_names, stamps

_INTEGER = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)


def parse_version(name: str) -> int | None:
    """Returns the version number that a directory name stands for, or None.

    `7`, `00000007` and `+7` are 7, `-7` is below 0; `7.tmp`, `v7` and what exceeds 64 bits are no versions.
    REST cannot name a negative version, as its paths hold digits alone; gRPC and version policies can.
    """
    if not _INTEGER.fullmatch(name):
        return None
    number = int(name)
    return number if -(2**63) <= number < 2**63 else None


def list_versions(base_path: str) -> dict[int, str]:
    """Lists the version directories of a base path.

    Args:
        base_path: directory or URL whose integer-named children are versions.

    Returns:
        version -> directory. Of two names for one number (`1`, `01`) the last in sort order counts.

    Raises:
        OSError: the base path cannot be read.
    """
    found = {}
    for name in list_names(base_path):
        version = parse_version(name)
        directory = os.path.join(base_path, name)
        if version is not None and is_directory(directory):
            found[version] = directory
    return found


def real_directory(directory: str) -> str:
    """Returns where a directory lies once all links are followed: a link that moves makes a difference.

    Args:
        directory: path, or URL, which stays as it is: those file systems have no links.
    """
    return directory if is_url(directory) else os.path.realpath(directory)


def fingerprint(directory: str) -> frozenset[tuple[str, int, int]]:
    """Returns a value that changes while a version directory is being written or repaired.

    Args:
        directory: version directory.

    Returns:
        name, size and modification time of the files that a load reads.
    """
    found = set()
    for folder in (directory, os.path.join(directory, "variables")):
        with contextlib.suppress(OSError):  # not there, or gone while being read: a later look differs
            found |= stamps(folder)
    return frozenset(found)
