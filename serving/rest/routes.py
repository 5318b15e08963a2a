"""The REST call that a method and a path name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from keras_attn.serving.errors import invalid
from keras_attn.serving.models.registry import ModelSpec

_MAX_DIGITS = 19  # of a 64-bit integer
_VERSION_OR_LABEL = r"(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"
_FLAGS = re.IGNORECASE | re.ASCII
_API = re.compile(r"/v1/.*", _FLAGS)
_POST = re.compile(rf"/v1/models/([^/:]+){_VERSION_OR_LABEL}:(classify|regress|predict)", _FLAGS)
_STREAM = re.compile(rf"/stream/v1/models/([^/:]+){_VERSION_OR_LABEL}", _FLAGS)
_STREAMS = re.compile(r"/stream/v1/.*", _FLAGS)
_GET = re.compile(rf"/v1/models(?:/([^/:]+))?{_VERSION_OR_LABEL}(?:/(metadata))?", _FLAGS)


class VersionTooLarge(Exception):
    """The version is no 64-bit integer; the stock server answers 400 with an empty body."""


@dataclass(frozen=True)
class Route:
    """A call and what it is addressed to.

    The call is `predict`, `classify`, `regress`, `status`, `metadata` or `stream`.
    """

    call: str
    spec: ModelSpec


def is_api_path(path: str) -> bool:
    """Tells whether a path belongs to the API at all; others get the plain 404 page."""
    return _API.fullmatch(path) is not None


def is_stream_path(path: str) -> bool:
    """Tells whether a path belongs to the streams, which the stock server has not."""
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
    malformed = invalid(f"Malformed request: {method} {path}")
    if method == "POST" and (match := _POST.fullmatch(path)):
        name, version, label, call = match.groups()
        if call not in ("classify", "regress", "predict"):  # the verb alone is case-sensitive
            raise malformed
    elif method == "GET" and (match := _GET.fullmatch(path)):
        name, version, label, metadata = match.groups()
        if not name:
            raise invalid("Missing model name in request.")
        call = "metadata" if metadata else "status"
    elif method == "POST" and (match := _STREAM.fullmatch(path)):
        (name, version, label), call = match.groups(), "stream"
    else:
        raise malformed
    return Route(call, ModelSpec(unquote(name), _number(version), unquote(label or "")))


def _number(version: str | None) -> int | None:
    digits = (version or "").lstrip("0")
    if len(digits) > _MAX_DIGITS or int(digits or "0") >= 2**63:  # `int` refuses to read thousands of digits
        raise VersionTooLarge
    return int(digits or "0") if version else None
