"""The versions of one model: which are loaded, which are used, which failed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.models.memory import give_back
from keras_attn.serving.models.version_state import State, VersionEntry, VersionStatus

_log = logging.getLogger("keras_attn.serving")


@dataclass(frozen=True)
class Retries:
    """Retries of a version that does not load.

    Args:
        count: further attempts after the first.
        interval_s: seconds between two attempts.
    """

    count: int = 0
    interval_s: float = 60.0


class VersionTable:
    """Bookkeeping of a model's versions, safe to use from any thread.

    Args:
        name: model name, for the log.
        retries: what happens to a version that does not load.
    """

    def __init__(self, name: str, retries: Retries):
        self._name = name
        self._retries = retries
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._entries: dict[int, VersionEntry] = {}
        self._replaced: list[VersionEntry] = []  # gave way to a successor, and are still used

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every version ever seen, newest first."""
        with self._lock:
            return [entry.status() for _, entry in sorted(self._entries.items(), reverse=True)]

    def take(self, version: int | None) -> VersionEntry | None:
        """Marks an available version as used, until `give_back`.

        Args:
            version: version number, or None for the highest one that is available.

        Returns:
            The version, or None if it is not available.
        """
        with self._lock:
            ready = [n for n, entry in self._entries.items() if entry.state is State.AVAILABLE]
            number = max(ready, default=None) if version is None else version
            if number not in ready:
                return None
            entry = self._entries[number]
            entry.in_flight += 1
            return entry

    def give_back(self, entry: VersionEntry) -> None:
        """Ends a use; the last one of a version that is no longer wanted unloads it."""
        with self._idle:
            entry.in_flight -= 1
            last = entry.in_flight == 0 and entry.state is State.UNLOADING
            self._idle.notify_all()
        if last:
            self._unload(entry)

    def is_loaded(self, version: int, directory: str) -> bool:
        """Tells whether a version is available, loaded from this directory."""
        with self._lock:
            entry = self._entries.get(version)
            return entry is not None and entry.state is State.AVAILABLE and entry.directory == directory

    def begin_load(self, version: int, directory: str, stamp: frozenset) -> VersionEntry | None:
        """Notes that a version is about to be loaded; one that answers from elsewhere goes on until it is.

        Args:
            version: version number.
            directory: where it lies.
            stamp: fingerprint of its files.

        Returns:
            The version, or None if it is loaded, or failed and is not to be tried again yet.
        """
        with self._lock:
            served = self._entries.get(version)
            takes_over = served is not None and served.state is State.AVAILABLE
            entry = served.successor if takes_over else served
            if entry and not _is_due(entry, directory, stamp):
                return None
            if entry is None or entry.state is not State.LOADING or entry.directory != directory:
                entry = VersionEntry(version, directory)
                if takes_over:
                    served.successor = entry
                else:
                    self._entries[version] = entry
            entry.state, entry.fingerprint = State.LOADING, stamp
            return entry

    def finish_load(self, entry: VersionEntry, servable: Servable) -> None:
        """Makes a version available; what answered for it so far, from another directory, is unloaded."""
        with self._lock:
            entry.servable, entry.state = servable, State.AVAILABLE
            replaced = self._entries.get(entry.version, entry)
            self._entries[entry.version] = entry
            is_idle = replaced is not entry and self._give_way(replaced)
        where = f" from {entry.directory}, in place of {replaced.directory}" if replaced is not entry else ""
        _log.info("Model %s version %d is available%s.", self._name, entry.version, where)
        if is_idle:
            self._unload(replaced)

    def fail_load(self, entry: VersionEntry, error: ServingError) -> str:
        """Notes that a version could not be loaded; returns a sentence that says so."""
        with self._lock:
            entry.failures += 1
            is_last = entry.failures > self._retries.count
            entry.retry_at = time.monotonic() + self._retries.interval_s
            if is_last:
                entry.state, entry.error = State.END, error
            served = self._entries.get(entry.version, entry)
        where = ""
        if served is not entry:
            where = f" from {entry.directory}, and that of {served.directory} stays"
        what = f"Model {self._name} version {entry.version} could not be loaded{where}: {error}"
        if is_last:
            return what
        left = self._retries.count + 1 - entry.failures
        return f"{what} (tried again in {self._retries.interval_s:g} s, {left} more times at most)"

    def seconds_to_retry(self, wanted: Container[int]) -> float:
        """Returns when one of the wanted versions is to be tried again; infinity if none is."""
        with self._lock:
            times = [
                entry.retry_at
                for entry in self._to_be_loaded()
                if entry.state is State.LOADING and entry.failures and entry.version in wanted
            ]
        return max(0.0, min(times) - time.monotonic()) if times else math.inf

    def retire_all_but(self, wanted: Mapping[int, str]) -> None:
        """Unloads what is not wanted, the lowest version first, once a wanted one answers, or none is wanted.

        Args:
            wanted: versions to keep -> their directories.
        """
        with self._lock:
            entries = [entry for _, entry in sorted(self._entries.items())]
            ready = any(e.state is State.AVAILABLE and wanted.get(e.version) == e.directory for e in entries)
            unwanted = [entry for entry in entries if entry.version not in wanted]
            for entry in unwanted:
                if entry.state is State.LOADING:  # it waited for another attempt
                    entry.state = State.END
                    entry.error = ServingError(Code.CANCELLED, "it is no longer wanted")
            if wanted and not ready:
                return  # no wanted version is ready: what is served stays
            retired = [entry for entry in unwanted if entry.state is State.AVAILABLE]
            for entry in retired:
                entry.state = State.UNLOADING
            finished = [entry for entry in retired if entry.in_flight == 0]
        for entry in finished:
            self._unload(entry)

    def forget_gone(self, found: Mapping[int, str]) -> None:
        """Lets failed versions whose directories went away be tried again when they come back.

        Args:
            found: versions that are there -> their directories.
        """
        with self._lock:
            for version, entry in self._entries.items():
                if version not in found and entry.error is not None:
                    entry.fingerprint = None
                if entry.successor and entry.successor.directory != found.get(version):
                    entry.successor = None

    def forget_failed(self) -> None:
        """Lets all failed versions be tried again."""
        with self._lock:
            self._entries = {v: entry for v, entry in self._entries.items() if entry.error is None}
            for entry in self._entries.values():
                if entry.successor and entry.successor.error is not None:
                    entry.successor = None

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits until no version is used; returns False if one still is after so many seconds."""
        with self._idle:
            return self._idle.wait_for(
                lambda: not any(entry.in_flight for entry in (*self._entries.values(), *self._replaced)),
                timeout_s,
            )

    def _to_be_loaded(self) -> Iterator[VersionEntry]:
        """The entry of each version that a load would be about."""
        for entry in self._entries.values():
            yield entry.successor if entry.successor and entry.state is State.AVAILABLE else entry

    def _give_way(self, entry: VersionEntry) -> bool:
        """Ends the service of a version that was replaced; returns whether it can be unloaded at once."""
        if entry.state is State.END:  # unloaded while its successor was being loaded
            return False
        was_available, entry.state = entry.state is State.AVAILABLE, State.UNLOADING
        self._replaced.append(entry)
        return was_available and entry.in_flight == 0

    def _unload(self, entry: VersionEntry) -> None:
        entry.servable.close()
        with self._lock:
            entry.servable, entry.state = None, State.END
            where = "" if entry is self._entries.get(entry.version) else f" of {entry.directory}"
            self._replaced = [other for other in self._replaced if other is not entry]
        _log.info("Model %s version %d%s was unloaded.", self._name, entry.version, where)
        give_back()


def _is_due(entry: VersionEntry, directory: str, stamp: frozenset) -> bool:
    if entry.state in (State.AVAILABLE, State.UNLOADING):
        return False
    if (entry.directory, entry.fingerprint) != (directory, stamp):
        return True  # it lies elsewhere, or its files have changed since
    if entry.state is State.LOADING:
        return time.monotonic() >= entry.retry_at
    return entry.error is None  # loaded once and unloaded since
