"""One model: its versions follow the base path, and a served one is never lost to a broken one."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from keras_attn.serving.errors import ServingError
from keras_attn.serving.inference.servable import Loader, Servable
from keras_attn.serving.models.version_dirs import fingerprint, list_versions, real_directory
from keras_attn.serving.models.version_policy import LatestVersions, VersionPolicy
from keras_attn.serving.models.version_state import State, VersionStatus
from keras_attn.serving.models.version_table import Retries, VersionTable

_log = logging.getLogger("keras_attn.serving")


class ServedModel:
    """Keeps the versions that a policy chooses under a base path loaded.

    Args:
        name: model name.
        base_path: directory or URL whose integer-named children are versions.
        load: makes a servable from a version directory.
        policy: which versions to serve; None means the latest.
        retries: what happens to a version that does not load.
    """

    def __init__(
        self,
        name: str,
        base_path: str,
        load: Loader,
        policy: VersionPolicy | None = None,
        retries: Retries | None = None,
    ):
        self.name = name
        self.base_path = base_path
        self._policy: VersionPolicy | None = policy or LatestVersions()
        self._load = load
        self._lock = threading.Lock()
        self._table = VersionTable(name, retries or Retries())
        self._wanted: dict[int, str] = {}
        self._last_warning = ""

    @property
    def is_retired(self) -> bool:
        """Whether it was taken off the list of models: no version is wanted any more."""
        return self._policy is None

    def configure(self, base_path: str, policy: VersionPolicy | None) -> None:
        """Changes what is to be served from the next look on.

        Args:
            base_path: directory with the versions.
            policy: which of them to serve; None means none: all are unloaded.
        """
        with self._lock:
            if self._policy is None:  # it comes back: what failed before is tried anew
                self._table.forget_failed()
            self.base_path, self._policy = base_path, policy

    def poll(self, look: bool = True) -> list[str]:
        """Looks at the base path, loads what is new and wanted, then unloads the rest.

        A new version is loaded before an old one goes, so both are in memory for a while. A base path that
        cannot be read changes nothing; one without any version unloads everything. A version that now lies in
        another directory, as the base path has changed or a link in it was moved, is loaded from there.

        Args:
            look: False goes by what the last look found, to try again what failed.

        Returns:
            A sentence for each version that could not be loaded in this round.
        """
        if look and not self._look():
            return []
        wanted = sorted(self._wanted.items(), reverse=True)
        problems = [problem for version, path in wanted if (problem := self._bring_up(version, path))]
        self._table.retire_all_but(self._wanted)
        return problems

    def seconds_to_retry(self) -> float:
        """Returns when a version is to be tried again; infinity if none is."""
        return self._table.seconds_to_retry(self._wanted)

    @contextlib.contextmanager
    def use(self, version: int | None) -> Iterator[Servable | None]:
        """Lends a version that will not be unloaded before the block ends.

        Args:
            version: version number, or None for the highest one that is available.

        Yields:
            The servable, or None if there is none.
        """
        entry = self._table.take(version)
        try:
            yield entry.servable if entry else None
        finally:
            if entry:
                self._table.give_back(entry)

    def is_available(self) -> bool:
        """Tells whether a version answers."""
        return any(status.state is State.AVAILABLE for status in self.statuses())

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every version ever seen, newest first."""
        return self._table.statuses()

    def close(self, timeout_s: float) -> bool:
        """Unloads every version.

        Args:
            timeout_s: seconds to wait for requests in flight.

        Returns:
            False if some were still running.
        """
        self._wanted = {}
        self._table.retire_all_but({})
        return self._table.wait_until_idle(timeout_s)

    def _look(self) -> bool:
        """Finds out which versions are wanted; returns False if that cannot be told."""
        with self._lock:
            base_path, policy = self.base_path, self._policy
        if policy is None:
            self._wanted = {}
            return True
        try:
            # Loaded by its real path, too: a link that moves meanwhile must not mix the files of two models.
            found = {number: real_directory(path) for number, path in list_versions(base_path).items()}
        except OSError as error:
            self._warn(
                f"Could not read the base path {base_path} of model {self.name}: {error.strerror}."
                " Nothing was loaded or unloaded."
            )
            return False
        self._table.forget_gone(found)
        chosen = policy.choose(found)
        self._wanted = {version: found[version] for version in chosen}
        if not found:
            self._warn(
                f"No versions of model {self.name} found under base path {base_path}. Expected a directory"
                f" with an integer name, such as {base_path}/1, that holds a SavedModel."
            )
        elif not chosen:
            self._warn(f"Model {self.name} has none of the versions that are asked for: {sorted(found)}.")
        else:
            self._last_warning = ""
        return True

    def _warn(self, text: str) -> None:
        """Logs a warning once, not in every look that finds the same."""
        if text != self._last_warning:
            _log.warning("%s", text)
        self._last_warning = text

    def _bring_up(self, version: int, directory: str) -> str | None:
        """Loads a version that is not loaded from there yet; returns what was wrong with it."""
        if self._table.is_loaded(version, directory):  # its files need not be looked at
            return None
        entry = self._table.begin_load(version, directory, fingerprint(directory))
        if entry is None:
            return None
        try:
            servable = self._load(self.name, version, directory)
        except ServingError as error:
            return self._table.fail_load(entry, error)
        self._table.finish_load(entry, servable)
        return None
