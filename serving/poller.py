"""When the base paths are looked at: at start-up until every model answers, then now and again."""

from __future__ import annotations

import logging
import threading

from .errors import Code, ServingError
from .registry import Registry
from .served_model import ServedModel
from .version_state import State

_log = logging.getLogger("keras_attn.serving")


class Poller:
    """Polls a registry's base paths.

    Args:
        registry: models to poll.
        wait_seconds: pause between two looks; 0 looks once at start-up, a negative number never.
    """

    def __init__(self, registry: Registry, wait_seconds: float):
        self._registry = registry
        self._wait_seconds = wait_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def wait_until_available(self, stop: threading.Event | None = None) -> bool:
        """Polls until every model has a version that answers. A model without any version is waited for.

        Args:
            stop: set it to give up.

        Returns:
            False if `stop` was set before.

        Raises:
            ServingError: a version could not be loaded, or nothing will ever come as polling is off.
        """
        stop = stop or self._stop
        while not stop.is_set():
            if self._wait_seconds >= 0:
                self._registry.poll()
            if all(_is_ready(model) for model in self._registry.models):
                return True
            if self._wait_seconds <= 0:
                raise ServingError(
                    Code.NOT_FOUND,
                    "no version of the model was found, and polling is off. Set"
                    " --file_system_poll_wait_seconds to 1 or more to wait for one.",
                )
            stop.wait(self._wait_seconds)
        return False

    def start(self) -> None:
        """Polls from a thread of its own from now on."""
        if self._wait_seconds > 0:
            self._thread = threading.Thread(target=self._run, name="poll-base-paths", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends the polling.

        Args:
            timeout_s: seconds to wait for a load that is going on.
        """
        self._stop.set()
        if self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self._wait_seconds):
            try:
                for problem in self._registry.poll():
                    _log.error("%s", problem)
            except Exception:  # the next round may well succeed, and what is loaded goes on serving
                _log.exception("Polling the base paths failed; it is tried again.")


def _is_ready(model: ServedModel) -> bool:
    statuses = model.statuses()
    if any(status.state is State.AVAILABLE for status in statuses):
        return True
    failed = [status for status in statuses if status.code is not Code.OK]
    if failed:
        reasons = "".join(
            f"{{{{name: {model.name} version: {status.version}}} due to error: "
            f"{status.code.name}: {status.message}}}, "
            for status in failed
        )
        raise ServingError(Code.UNKNOWN, f"{len(failed)} servable(s) did not become available: {{{reasons}}}")
    return False
