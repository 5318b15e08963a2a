"""Files and folders that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_attn.typing import StrPath


@contextmanager
def written_whole(path: StrPath) -> Iterator[Path]:
    """Yields a hidden path beside `path` to write to, and renames it to `path` when the block succeeds.

    A process that is killed leaves the file that was there before, and the next writer removes the hidden
    rest. An error or an interrupt removes it at once: a disk that has become full would stay full with it.

    Args:
        path: the file, which is replaced, or a folder that does not exist yet. One process writes it at a
            time. The hidden name ends as `path` does, since writers choose formats by it.

    Yields:
        The path to write to; a folder is made there by the block.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "scores.json")
    >>> with written_whole(path) as temporary:
    ...     _ = temporary.write_text("{}")
    >>> [file.name for file in path.parent.iterdir()]
    ['scores.json']
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}")
    _remove(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            _remove(temporary)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
