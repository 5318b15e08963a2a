"""An end that comes soon after an interrupt, also while TensorFlow keeps the interpreter waiting."""

import os
import signal
import sys
import threading
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130
# Python's own way out: `finally` blocks and the like.
_GRACE_S = 1.0


@contextmanager
def prompt_end(last_words, grace_s=_GRACE_S):
    """While the block runs, SIGINT and SIGTERM end the process within `grace_s` seconds.

    Python hears of a signal when native code returns, and the first training step is ten seconds of it. So
    the signal's number goes through a pipe to a thread, which gives the block that time to end in order, and
    then ends the process as a kill would. What the block writes must bear that.

    Args:
        last_words: called without arguments before the process is ended so.
        grace_s: seconds.
    """
    reading_end, writing_end = os.pipe()
    os.set_blocking(writing_end, False)
    ended = threading.Event()

    def watch():
        while number := os.read(reading_end, 1):
            if number[0] in _SIGNALS and not ended.wait(grace_s):
                last_words()
                os._exit(_INTERRUPTED)

    watcher = threading.Thread(target=watch, name="interrupts", daemon=True)
    watcher.start()
    before = signal.set_wakeup_fd(writing_end, warn_on_full_buffer=False)
    hook, sys.unraisablehook = sys.unraisablehook, _quiet(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writing_end)  # which ends the thread
        watcher.join()
        os.close(reading_end)


def _quiet(hook):
    """The hook, but for an interrupt that met a callback, which cannot pass it on: the thread ends it all."""

    def quiet(unraisable):
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            hook(unraisable)

    return quiet
