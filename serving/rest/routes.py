"""The call and the model that a method and a path name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from keras_attn.serving.errors import invalid
from keras_attn.serving.models.registry import ModelSpec
from keras_attn.serving.rest.calls import CALLS, STREAM_PREFIX, Call

_MAX_DIGITS = 19  # of a 64-bit integer
_FLAGS = re.IGNORECASE | re.ASCII
_API = re.compile(r"/v1/.*", _FLAGS)
_STREAMS = re.compile(rf"{STREAM_PREFIX}/v1/.*", _FLAGS)
_VERSION_OR_LABEL = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_PATHS = {
    call: re.compile(
        rf"{call.prefix}/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}({re.escape(call.suffix)})", _FLAGS
    )
    for call in CALLS
}


class VersionTooLarge(Exception):
    """The version is not a 64-bit integer; TensorFlow Serving answers 400 with an empty body."""


@dataclass(frozen=True)
class Route:
    """A call, and the model and version that it is for."""

    call: Call
    spec: ModelSpec


def is_api_path(path: str) -> bool:
    """Tells whether a path belongs to the API at all; others get the plain 404 page."""
    return _API.fullmatch(path) is not None


def is_stream_path(path: str) -> bool:
    """Tells whether a path belongs to the streams, which TensorFlow Serving does not have."""
    return _STREAMS.fullmatch(path) is not None


def find_route(method: str, path: str) -> Route:
    """Finds the call.

    Args:
        method: HTTP method.
        path: raw path with its query string: escapes are decoded in names only, after matching.

    Raises:
        ServingError: nothing matches, or no model is named.
        VersionTooLarge: the version does not fit 64 bits.
    """
    for call, pattern in _PATHS.items():
        match = pattern.fullmatch(path) if call.method == method else None
        if not match:
            continue
        name, version, label, suffix = match.groups()
        if not name and method == "GET":
            raise invalid("Missing model name in request.")
        # The verb after the colon is case-sensitive, unlike the rest of the path.
        if name and (suffix == call.suffix or not suffix.startswith(":")):
            return Route(call, ModelSpec(unquote(name), _number(version), unquote(label or "")))
    raise invalid(f"Malformed request: {method} {path}")


def _number(version: str | None) -> int | None:
    digits = (version or "").lstrip("0")
    if len(digits) > _MAX_DIGITS or int(digits or "0") >= 2**63:  # `int` refuses to read thousands of digits
        raise VersionTooLarge
    return int(digits or "0") if version else None
