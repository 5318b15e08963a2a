"""SIGTERM and SIGINT as an event that any thread can wait for."""

from __future__ import annotations

import os
import signal
import threading

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> threading.Event:
    """Returns an event that SIGTERM and SIGINT set; a second signal ends the process at once.

    A Python signal handler must not set an event itself: it interrupts the main thread anywhere, also
    where that holds the event's lock. So the signal's number goes through a pipe to a thread, which
    works as well while the main thread is busy in native code, loading a model.
    """
    stop = threading.Event()
    reading_end, writing_end = os.pipe()
    os.set_blocking(writing_end, False)

    def watch() -> None:
        while numbers := os.read(reading_end, 1):
            if numbers[0] not in _SIGNALS:
                continue
            if stop.is_set():
                os._exit(128 + numbers[0])
            stop.set()

    threading.Thread(target=watch, name="signals", daemon=True).start()
    signal.set_wakeup_fd(writing_end, warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)  # instead of ending the process
    return stop
