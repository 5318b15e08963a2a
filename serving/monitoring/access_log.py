"""One line of JSON on each request."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from io import FileIO

_log = logging.getLogger("keras_attn.serving")


def host_of(address: str) -> str:
    """Returns the address of a peer as lines have it: an IPv4 peer of a socket for both is just that."""
    return address.removeprefix("::ffff:")


class AccessLog:
    """Writes requests to a file.

    Args:
        path: file to append to; `-` means standard output, and empty nowhere.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str):
        self._lock = threading.Lock()
        self._file = FileIO(path, "a") if path not in ("", "-") else None
        self._emit: Callable[[str], object] | None = None
        if self._file is not None:
            self._emit = lambda line: self._file.write(line.encode())
        elif path:
            self._emit = lambda line: print(line, end="", file=sys.stdout, flush=True)

    @property
    def is_on(self) -> bool:
        """Whether what is written goes anywhere."""
        return self._emit is not None

    def write(self, entrypoint: str, call: str, status: object, begin: float, **more: object) -> None:
        """Writes a line.

        Args:
            entrypoint: `REST` or `GRPC`.
            call: method and path, or name of the method.
            status: HTTP status or name of the code.
            begin: when the request came, by `time.perf_counter`.
            more: further fields.
        """
        if self._emit is None:
            return
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        milliseconds = round((time.perf_counter() - begin) * 1e3, 3)
        fields = {"time": stamp, "entrypoint": entrypoint, "call": call, "status": status}
        line = json.dumps({**fields, "ms": milliseconds, **more}) + "\n"
        with self._lock:
            if self._emit is None:  # closed meanwhile
                return
            try:
                self._emit(line)
            except OSError as error:  # a full disk must not cost the request
                _log.error("The access log ends here, as it cannot be written: %s", error)
                self._emit = None

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._emit = None
            if self._file is not None:
                self._file.close()
