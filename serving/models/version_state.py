"""The life of one model version, and the handle that keeps it alive while it is used."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.servable import Servable


class State(enum.IntEnum):
    """States of a version, numbered as in `ModelVersionStatus`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """The status of a version as callers see it: `code` is OK unless it failed to load."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass
class VersionEntry:
    """Bookkeeping of one version; changed only under its model's lock.

    Args:
        version: version number.
        directory: where it lies.
        fingerprint: of the files that the last attempt to load read; None before the first.
        state: where in its life it is.
        error: why it could not be loaded, once it is given up.
        servable: the loaded model while there is one.
        in_flight: requests that use it.
        failures: attempts that failed so far.
        retry_at: monotonic time of the next attempt, in seconds.
        successor: the same version from another directory, which is to take this one's place.
    """

    version: int
    directory: str
    fingerprint: frozenset | None = None
    state: State = State.START
    error: ServingError | None = None
    servable: Servable | None = None
    in_flight: int = 0
    failures: int = 0
    retry_at: float = 0.0
    successor: VersionEntry | None = None

    def status(self) -> VersionStatus:
        """Returns the status that callers see."""
        if self.error is None:
            return VersionStatus(self.version, self.state)
        return VersionStatus(self.version, self.state, self.error.code, self.error.message)
