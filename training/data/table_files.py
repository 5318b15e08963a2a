"""Pairs in files of lines and columns: aligned text, TSV, CSV, JSON lines."""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from keras_attn.training.data.named_columns import text_of
from keras_attn.training.data.text_files import DataError, Row, read_lines, read_text, shown
from keras_attn.training.recipe.recipe import PairsSpec


def aligned_rows(source: Path, target: Path) -> Iterator[Row]:
    """The lines of two files, side by side."""
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        longer, lines = (source, sources) if len(sources) > len(targets) else (target, targets)
        first = min(len(sources), len(targets))
        raise DataError(
            f"`{source}` and `{target}` are not aligned. Expected equally many lines. Received: "
            f"{len(sources)} and {len(targets)}. Line {first + 1} of `{longer.name}` is the first without a "
            f"partner: {shown(lines[first])}."
        )
    return zip(itertools.count(1), sources, targets)  # which are equally many


def tsv_rows(path: Path, spec: PairsSpec) -> Iterator[Row]:
    """The two columns of a file whose columns are divided by tabs; blank lines are skipped."""
    columns = [
        _tsv_column(path, name, column)
        for name, column in (("source_column", spec.source_column), ("target_column", spec.target_column))
    ]
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) == 1 and not line.strip():
            continue
        if len(fields) <= max(columns):
            raise DataError(
                f"Line {number} of `{path}` has too few columns. Expected at least {max(columns) + 1}, "
                f"separated by tabs. Received: {len(fields)}, {shown(line)}."
            )
        yield number, fields[columns[0]], fields[columns[1]]


def _tsv_column(path: Path, name: str, column: int | str) -> int:
    if isinstance(column, str):
        raise DataError(
            f"`{name}` must be a number for `{path}`, because a TSV file has no header. "
            f"Expected 0 for the first column. Received: {column!r}."
        )
    return column


def csv_rows(path: Path, spec: PairsSpec) -> Iterator[Row]:
    """The two columns of a CSV file with a header."""
    text = read_text(path)
    # A field may be as long as the file, also in a column that is not read. The limit is one for the process.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    # Strict: a quote left open would otherwise swallow the rest of the file as one field.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(filter(None, reader), [])  # blank lines may come before it
        source = _csv_column(path, header, "source_column", spec.source_column)
        target = _csv_column(path, header, "target_column", spec.target_column)
        for row in reader:
            if not row:
                continue
            if len(row) <= max(source, target):
                raise DataError(
                    f"Line {reader.line_num} of `{path}` has too few columns. Expected at least "
                    f"{max(source, target) + 1}. Received: {len(row)}, {shown(','.join(row))}."
                )
            yield reader.line_num, row[source], row[target]
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of `{path}` is no valid CSV: {error}.") from None


def _csv_column(path: Path, header: list[str], option: str, column: int | str) -> int:
    if isinstance(column, int) and column < len(header):
        return column
    if isinstance(column, str) and header.count(column) == 1:
        return header.index(column)
    folded = {name.strip().casefold(): name for name in header}
    near = get_close_matches(str(column).strip().casefold(), folded, n=1)
    hint = f" Did you mean {folded[near[0]]!r}?" if near and folded[near[0]] != column else ""
    raise DataError(
        f"`{option}` must name one column of `{path}`. Expected one of "
        f"{', '.join(map(repr, header))}, or a number below {len(header)}. Received: {column!r}.{hint}"
    )


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
            # Python refuses to make a number of more than 4,300 digits, and no number is asked for.
            record = json.loads(line, parse_int=_Number)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            raise DataError(
                f"{where} is not valid JSON ({reason}). Expected an object or an array per line. "
                f"Received: {shown(line)}."
            ) from None
        yield (
            number,
            _whole(text_of(record, spec.source_column, "source_column", where), where),
            _whole(text_of(record, spec.target_column, "target_column", where), where),
        )


class _Number:
    """A whole number of a JSON line, which is shown in errors and never computed with."""

    def __init__(self, digits: str):
        self.digits = digits

    def __repr__(self) -> str:
        return self.digits


def _whole(text: str, where: str) -> str:
    """The text, unless it holds half a character, as JSON's escapes can write it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{where} holds half a character. Expected text. Received: {shown(text)}. Mend or drop the line."
        ) from None
    return text
