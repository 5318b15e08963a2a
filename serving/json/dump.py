"""A JSON value as error texts show it: indented by four, arrays on one line, cut when long."""

from __future__ import annotations

import itertools
import math

from keras_attn.serving.json.text import string_text

LIMIT_BYTES = 256


def dump_json(value: object) -> str:
    """Writes a parsed JSON value for an error text.

    Args:
        value: dict, list, str, int, float, bool or None.

    Returns:
        The text, cut behind the first token that reaches `LIMIT_BYTES`: a separator belongs to the token
        that follows it. A number that is no number (NaN, infinity) cannot be written: the text ends
        before it.
    """
    pieces, size = [], 0
    # Work to do, last first: tokens to write as they are, or (separator, value, level) to expand.
    todo: list[str | tuple[str, object, int]] = [("", value, 0)]
    while todo and size < LIMIT_BYTES:
        token = todo.pop()
        if not isinstance(token, str):
            separator, item, level = token
            text = _scalar(item)
            if text is None:
                return "".join([*pieces, separator])
            token = separator + text
            todo.extend(reversed(_parts(item, level)))
        pieces.append(token)
        size += len(token.encode("utf-8", "surrogateescape"))
    return "".join(pieces)


def number_text(number: float) -> str:
    """Writes a finite float with the fewest digits that read back equal, always as a decimal number."""
    digits, exponent = _shortest(abs(number))
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    point = len(digits) + exponent  # digits before the decimal point
    if exponent >= 0 and point <= 21:
        return f"{sign}{digits}{'0' * exponent}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{mantissa}e{point - 1}"


def _shortest(number: float) -> tuple[str, int]:
    """Returns digits and exponent with number = digits * 10**exponent."""
    if number == 0:
        return "0", 0
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    return stripped, int(exponent or 0) - len(fraction) + len(digits) - len(stripped)


def _scalar(value: object) -> str | None:
    """Returns a value's only token, or the one that opens a container; None for what cannot be written."""
    if isinstance(value, (dict, list)):
        return "{" if isinstance(value, dict) else "["
    if isinstance(value, str):
        return string_text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    return number_text(float(value)) if math.isfinite(value) else None


def _parts(value: object, level: int) -> list[str | tuple[str, object, int]]:
    """Returns what follows the opening token of a container; more than can be shown is left out."""
    parts: list[str | tuple[str, object, int]] = []
    if isinstance(value, list):
        for item in value[:LIMIT_BYTES]:
            parts.append((", " if parts else "", item, level + 1))
        return [*parts, "]"]
    if isinstance(value, dict):
        indent = "    " * (level + 1)
        for key, item in itertools.islice(value.items(), LIMIT_BYTES):
            separator = ",\n" if parts else "\n"
            parts += [f"{separator}{indent}{string_text(key)}", (": ", item, level + 1)]
        return [*parts, ("\n" + "    " * level if parts else "") + "}"]
    return parts
