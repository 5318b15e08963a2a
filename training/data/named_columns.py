"""Columns of records: of a JSON line, or of a library's data set."""

from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from keras_attn.training.data.text_files import DataError, shown


def text_of(record: Any, column: int | str, option: str, where: str) -> str:
    """The text of a record in a column.

    Args:
        record: a dictionary, in which dictionaries may be, or a list.
        column: a name, `outer.inner` where one dictionary is inside another; of a list a number from 0.
        option: the name of the option that gave the column, for errors.
        where: the place of the record, for errors.

    Returns:
        The string that stands there.

    Raises:
        DataError: if there is no such column, or something else than text in it.

    >>> text_of({"translation": {"de": "Hund"}}, "translation.de", "source_column", "Line 1")
    'Hund'
    """
    if isinstance(column, int):
        if not isinstance(record, list) or column >= len(record):
            raise DataError(
                f"{where} has no column {column}, which `{option}` asks for. Expected an array of at least "
                f"{column + 1} texts. Received: {shown(repr(record))}. Name the column where it has a name."
            )
        value = record[column]
    else:
        value = _named(record, column, option, where)
    if isinstance(value, bytes):  # TensorFlow's strings
        with suppress(UnicodeDecodeError):
            value = value.decode("utf-8")
    if not isinstance(value, str):
        raise DataError(
            f"{where} has no text in {column!r}, which `{option}` names. Expected a string of UTF-8. "
            f"Received: {shown(repr(value))}."
        )
    return value


def _named(record: Any, column: str, option: str, where: str) -> Any:
    value, left = record, column
    while left:
        if isinstance(value, Mapping) and left in value:
            return value[left]
        name, _, left = left.partition(".")
        if not left or not isinstance(value, Mapping) or name not in value:
            break
        value = value[name]
    names = [str(name) for name in _names(record)]
    near = get_close_matches(column, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(
        f"{where} has no column {column!r}, which `{option}` names. "
        f"Expected one of {', '.join(map(repr, names)) or 'an object with names'}. "
        f"Received: {shown(repr(record))}.{hint}"
    )


def _names(record: Any, prefix: str = "") -> list[str]:
    if not isinstance(record, Mapping):
        return []
    names = []
    for name, value in record.items():
        names += _names(value, f"{prefix}{name}.") or [f"{prefix}{name}"]
    return names
