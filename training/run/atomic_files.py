"""What is left of a file whose writing failed."""

from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def removed_on_failure(*paths):
    """Removes temporary files when the block that writes them raises, by an interrupt too.

    A disk that has become full would stay full with what did not fit on it.

    Args:
        *paths: files, which need not be there.
    """
    try:
        yield
    except BaseException:
        for path in paths:
            with suppress(OSError):  # the first error is the one to tell
                Path(path).unlink(missing_ok=True)
        raise
