"""Pairs in a file of JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path

from keras_attn.training.data.named_columns import text_of
from keras_attn.training.data.text_files import DataError, Row, read_lines, shown
from keras_attn.training.recipe.recipe import PairsSpec


def json_rows(path: Path, spec: PairsSpec) -> Iterator[Row]:
    r"""The two columns of a file with a JSON object or array a line; blank lines are skipped.

    Args:
        path: the file; gzip where it ends in `.gz`.
        spec: which columns, by name in objects and by number in arrays.

    Raises:
        DataError: if a line is no JSON, or has no text in a column.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"Line {number} of `{path}`"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{where} is no JSON ({error}). Expected an object or an array a line. "
                f"Received: {shown(line)}."
            ) from None
        yield (
            number,
            _whole(text_of(record, spec.source_column, "source_column", where), where),
            _whole(text_of(record, spec.target_column, "target_column", where), where),
        )


def _whole(text: str, where: str) -> str:
    """The text, unless it holds half a character, as JSON's escapes can write it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{where} holds half a character. Expected text. Received: {shown(text)}. Mend or drop the line."
        ) from None
    return text
