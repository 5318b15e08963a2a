"""One model: its versions follow the base path, and a served one is never lost to a broken one."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from .errors import ServingError
from .servable import Loader, Servable
from .version_dirs import fingerprint, list_versions
from .version_state import State, VersionEntry, VersionStatus

_log = logging.getLogger("keras_attn.serving")


class ServedModel:
    """Keeps the latest version under a base path loaded.

    Args:
        name: model name.
        base_path: directory whose integer-named children are versions.
        load: makes a servable from a version directory.
    """

    def __init__(self, name: str, base_path: str, load: Loader):
        self.name = name
        self.base_path = base_path
        self._load = load
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._entries: dict[int, VersionEntry] = {}

    def poll(self) -> list[str]:
        """Looks at the base path once: loads a new latest version, then unloads the others.

        The new version is loaded before the old one goes, so both are in memory for a while. A base
        path that cannot be read changes nothing; one without any version unloads everything.

        Returns:
            A sentence for each version that could not be loaded in this look.
        """
        try:
            found = list_versions(self.base_path)
        except OSError as error:
            _log.warning(
                "Could not read the base path %s of model %s: %s. Nothing was loaded or unloaded.",
                self.base_path, self.name, error.strerror,
            )  # fmt: skip
            return []
        if not found:
            _log.warning(
                "No versions of model %s found under base path %s. Expected a directory with an integer"
                " name, such as %s/1, that holds a SavedModel.",
                self.name, self.base_path, self.base_path,
            )  # fmt: skip
        self._forget_removed(found)
        latest = max(found, default=None)
        problem = None if latest is None else self._bring_up(latest, found[latest])
        self._retire_all_but(latest)
        return [problem] if problem else []

    @contextlib.contextmanager
    def use(self, version: int | None) -> Iterator[Servable | None]:
        """Lends a version that will not be unloaded before the block ends.

        Args:
            version: version number, or None for the highest one that is available.

        Yields:
            The servable, or None if there is none.
        """
        entry = self._take(version)
        try:
            yield entry.servable if entry else None
        finally:
            if entry:
                self._give_back(entry)

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every version ever seen, newest first."""
        with self._lock:
            return [entry.status() for _, entry in sorted(self._entries.items(), reverse=True)]

    def close(self, timeout_s: float) -> bool:
        """Unloads every version.

        Args:
            timeout_s: seconds to wait for requests in flight.

        Returns:
            False if some were still running.
        """
        self._retire_all_but(None)
        with self._idle:
            return self._idle.wait_for(
                lambda: not any(e.in_flight for e in self._entries.values()), timeout_s
            )

    def _is_idle(self) -> bool:
        return not any(entry.in_flight for entry in self._entries.values())

    def _forget_removed(self, found: dict[int, str]) -> None:
        """A failed version whose directory went away may be tried again when it comes back."""
        with self._lock:
            for version, entry in self._entries.items():
                if version not in found and entry.error is not None:
                    entry.fingerprint = None

    def _bring_up(self, version: int, directory: str) -> str | None:
        """Loads a version that is not loaded yet; returns what was wrong with it."""
        stamp = fingerprint(directory)
        with self._lock:
            entry = self._entries.get(version)
            if entry and entry.state in (State.LOADING, State.AVAILABLE):
                return None
            if entry and entry.error and entry.fingerprint == stamp:
                return None  # it failed, and its files are the same as then
            entry = VersionEntry(version, directory, stamp, State.LOADING)
            self._entries[version] = entry
        try:
            servable = self._load(self.name, version, directory)
        except ServingError as error:
            with self._lock:
                entry.state, entry.error = State.END, error
            return f"Model {self.name} version {version} could not be loaded: {error}"
        with self._lock:
            entry.servable, entry.state = servable, State.AVAILABLE
        _log.info("Model %s version %d is available.", self.name, version)
        return None

    def _retire_all_but(self, wanted: int | None) -> None:
        with self._lock:
            kept = self._entries.get(wanted)
            if wanted is not None and (kept is None or kept.state is not State.AVAILABLE):
                return  # the wanted version is not ready: what is served stays
            retired = [e for e in self._entries.values() if e.state is State.AVAILABLE and e is not kept]
            for entry in retired:
                entry.state = State.UNLOADING
            finished = [entry for entry in retired if entry.in_flight == 0]
        for entry in finished:
            self._unload(entry)

    def _take(self, version: int | None) -> VersionEntry | None:
        with self._lock:
            ready = [n for n, entry in self._entries.items() if entry.state is State.AVAILABLE]
            number = max(ready, default=None) if version is None else version
            if number not in ready:
                return None
            entry = self._entries[number]
            entry.in_flight += 1
            return entry

    def _give_back(self, entry: VersionEntry) -> None:
        with self._idle:
            entry.in_flight -= 1
            last = entry.in_flight == 0 and entry.state is State.UNLOADING
            self._idle.notify_all()
        if last:
            self._unload(entry)

    def _unload(self, entry: VersionEntry) -> None:
        entry.servable.close()
        with self._lock:
            entry.servable, entry.state = None, State.END
        _log.info("Model %s version %d was unloaded.", self.name, entry.version)
