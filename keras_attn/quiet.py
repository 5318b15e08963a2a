"""Importing TensorFlow without the lines it writes to stderr while it starts."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keeps everything written to file descriptor 2 back, and shows it only if the block fails."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # the process runs without a stderr: nothing to hold back
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow, and TF Text where installed so that its ops are registered, silently.

    The native libraries write start-up lines straight to file descriptor 2, so `sys.stderr` cannot
    catch them. `TF_CPP_MIN_LOG_LEVEL` is set to 3 unless the user has set it: failures of a graph
    arrive as exceptions, the native log only repeats them.

    Returns:
        The `tensorflow` module.

    Raises:
        ImportError: TensorFlow cannot be imported; what it wrote to stderr is shown.
    """
    if "tensorflow" in sys.modules and "tensorflow_text" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        import tensorflow

        with contextlib.suppress(ModuleNotFoundError):
            import tensorflow_text  # noqa: F401
    return tensorflow
