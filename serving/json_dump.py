"""A JSON value as error texts show it: indented by four, arrays on one line, cut when long."""

from __future__ import annotations

import json
import math

LIMIT_BYTES = 256


def dump_json(value: object) -> str:
    """Writes a parsed JSON value for an error text.

    Args:
        value: dict, list, str, int, float, bool or None.

    Returns:
        The text, cut at the first token that reaches `LIMIT_BYTES`. A number that is no number
        (NaN, infinity) cannot be written: the text ends before it.
    """
    pieces, size = [], 0
    # Work to do, last first: text to write as it is, or a (value, level) to expand.
    todo: list[str | tuple[object, int]] = [(value, 0)]
    while todo and size < LIMIT_BYTES:
        item = todo.pop()
        if isinstance(item, str):
            pieces.append(item)
            size += len(item)
        elif isinstance(item[0], (dict, list)):
            todo.extend(reversed(_parts(*item)))
        else:
            text = _scalar(item[0])
            if text is None:
                break
            pieces.append(text)
            size += len(text.encode("utf-8", "surrogateescape"))
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
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return str(value)
    return number_text(float(value)) if math.isfinite(value) else None


def _parts(container: dict | list, level: int) -> list[str | tuple[object, int]]:
    """Splits a container into texts and inner values, in order."""
    if not container:
        return ["{}" if isinstance(container, dict) else "[]"]
    parts: list[str | tuple[object, int]] = []
    if isinstance(container, list):
        for item in container[:LIMIT_BYTES]:  # more cannot be shown
            parts += [", " if parts else "[", (item, level + 1)]
        return [*parts, "]"]
    indent = "    " * (level + 1)
    for key, item in container.items():
        separator = ",\n" if parts else "{\n"
        parts += [f"{separator}{indent}{json.dumps(key, ensure_ascii=False)}: ", (item, level + 1)]
    return [*parts, "\n" + "    " * level + "}"]
