"""The thread that keeps one model in step with its base path."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from .served_model import ServedModel

_log = logging.getLogger("keras_attn.serving")


class Watcher:
    """Polls one model in a thread of its own, so that no other model waits for its loads and retries.

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
        self._thread = threading.Thread(target=self._run, name=f"watch-{model.name}", daemon=True)
        self.num_rounds = 0

    def start(self) -> None:
        """Starts to look."""
        self._thread.start()

    def look_now(self) -> None:
        """Looks at once: the model's settings have changed."""
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Ends the thread.

        Args:
            timeout_s: seconds to wait for a load that is going on.
        """
        self._is_stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        look = True
        while not self._is_stopped:
            begin = time.monotonic()
            self._round(look and self._wait_seconds >= 0)
            until_look = self._wait_seconds if self._wait_seconds > 0 else threading.TIMEOUT_MAX
            pause = min(until_look, self._model.seconds_to_retry())
            is_woken = self._wake.wait(pause)
            self._wake.clear()
            look = is_woken or time.monotonic() - begin >= until_look

    def _round(self, look: bool) -> None:
        try:
            for problem in self._model.poll(look):
                _log.error("%s", problem)
        except Exception:  # the next round may well succeed, and what is loaded goes on serving
            _log.exception("Looking after model %s failed; it is tried again.", self._model.name)
        self.num_rounds += 1
        self._report()
