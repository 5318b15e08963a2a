"""JSON text as the stock server lays it out and spells it: numbers, strings, nested values."""

from __future__ import annotations

import re

import numpy as np

_SHORT_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_TO_ESCAPE = re.compile(r'["\\\x00-\x1f]')


class Raw(str):
    """Text that is JSON already and is written as it is."""

    __slots__ = ()


def string_text(text: str) -> Raw:
    """Quotes a string; what is not ASCII stays as it is, and so do bytes that are no UTF-8."""
    escaped = _TO_ESCAPE.sub(lambda m: _SHORT_ESCAPES.get(m[0]) or f"\\u00{ord(m[0]):02X}", text)
    return Raw(f'"{escaped}"')


def one_line(body: bytes) -> bytes:
    """Puts a JSON text that is laid out on lines on one: in strings, line feeds are escaped."""
    return b" ".join(line.strip(b" ") for line in body.split(b"\n"))


def decimal_texts(values: np.ndarray) -> list[Raw]:
    """Spells floats: six significant digits where they read back equal, else all that are needed.

    Args:
        values: flat float32 or float64 array.

    Returns:
        `0.2`, `3.0`, `9e+06`, `0.333333343`, `NaN`, `-Infinity`.
    """
    full = "%.9g" if values.dtype == np.float32 else "%.17g"
    numbers = values.astype(np.float64).tolist()
    texts = ["%g" % number for number in numbers]  # noqa: UP031 - three times faster than format()
    with np.errstate(over="ignore"):
        exact = np.array([float(text) for text in texts]).astype(values.dtype) == values
    return [
        _decimal(text if is_exact else full % number)
        for text, is_exact, number in zip(texts, exact.tolist(), numbers, strict=True)
    ]


def _decimal(text: str) -> Raw:
    if "n" in text:  # nan, inf, -inf
        return Raw({"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text])
    return Raw(text if "." in text or "e" in text else f"{text}.0")


def write_expanded(value: object, level: int = 0) -> str:
    """Writes dicts, lists and `Raw` leaves with every element on a line of its own.

    Args:
        value: nested dict (str keys), list and `Raw`.
        level: nesting level of the value, four spaces each.
    """
    if isinstance(value, Raw):
        return value
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    inner, outer = "\n" + "    " * (level + 1), "\n" + "    " * level
    if isinstance(value, dict):
        members = (f"{string_text(key)}: {write_expanded(item, level + 1)}" for key, item in value.items())
        return "{" + inner + f",{inner}".join(members) + outer + "}"
    return "[" + inner + f",{inner}".join(write_expanded(item, level + 1) for item in value) + outer + "]"


def write_inline(value: object, level: int = 0) -> str:
    """Writes like `write_expanded`, but lists on one line; objects inside them still get lines.

    Args:
        value: nested dict (str keys), list and `Raw`.
        level: nesting level of the value, four spaces each.
    """
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        inner, outer = "\n" + "    " * (level + 1), "\n" + "    " * level
        members = (f"{string_text(key)}: {write_inline(item, level + 1)}" for key, item in value.items())
        return "{" + inner + f",{inner}".join(members) + outer + "}"
    return "[" + ", ".join(write_inline(item, level + 1) for item in value) + "]"
