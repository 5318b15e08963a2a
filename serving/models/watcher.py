"""The thread that keeps one model in step with its base path."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from keras_attn.serving.models.served_model import ServedModel

_log = logging.getLogger("keras_attn.serving")


class Watcher:
    """Polls one model in a thread of its own, so that no other model waits for its loads and retries.

    The thread of a model that was taken off the list ends; `look_now` begins another when it is back.

    Args:
        model: the model.
        wait_seconds: pause between two looks at the base path; 0 looks once, and again after each change of
            settings; a negative number never looks.
        report: called after each round.
    """

    def __init__(self, model: ServedModel, wait_seconds: float, report: Callable[[], None]):
        self._model = model
        self._wait_seconds = wait_seconds
        self._report = report
        self._wake = threading.Event()
        self._is_stopped = False
        self._lock = threading.Lock()  # guards the thread's beginning and end
        self._thread: threading.Thread | None = None
        self.num_rounds = 0

    def look_now(self) -> None:
        """Looks at once: the model is new, or its settings have changed."""
        with self._lock:
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"watch-{self._model.name}", daemon=True
                )
                self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread.

        Args:
            timeout_s: seconds to wait for a load that is going on.
        """
        self._is_stopped = True
        self._wake.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        until_look = self._wait_seconds if self._wait_seconds > 0 else math.inf
        pause, next_look = 0.0, math.inf
        while not self._is_stopped:
            is_woken = self._wake.wait(pause)
            self._wake.clear()
            look = is_woken or time.monotonic() >= next_look
            succeeded = self._round(look and self._wait_seconds >= 0)
            if succeeded and self._has_ended():
                return
            now = time.monotonic()
            next_look = now + until_look if look else next_look  # a retry in between puts no look off
            pause = min(max(0.0, next_look - now), self._model.seconds_to_retry(), threading.TIMEOUT_MAX)

    def _has_ended(self) -> bool:
        """Tells whether nothing is left to do; `look_now` begins a new thread from then on."""
        with self._lock:
            if self._wake.is_set() or not self._model.is_retired:
                return False
            self._thread = None
            return True

    def _round(self, look: bool) -> bool:
        """Looks after the model once; returns whether that succeeded."""
        try:
            for problem in self._model.poll(look):
                _log.error("%s", problem)
            return True
        except Exception:  # the next round may well succeed, and what is loaded goes on serving
            _log.exception("Looking after model %s failed; it is tried again.", self._model.name)
            return False
        finally:
            self.num_rounds += 1
            self._report()
