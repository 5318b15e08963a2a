"""Pairs of texts: read from a user's files, and written.

A text is what stands in the file, character for character: no trimming, no Unicode normalisation. What would
teach a model nonsense without a word (files that shift against each other, a wrong encoding, a quote that
swallows half a table) is refused with a sentence that says where.
"""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from .recipe import PairsSpec
from .text_files import DataError, find_file, read_lines, read_text, shown

Pair = tuple[str, str]


@dataclass(frozen=True)
class Pairs(Sequence[Pair]):
    """Pairs as they were read, a sequence of `(source, target)`.

    Args:
        pairs: the pairs in the order of the file.
        dropped_empty: number of pairs left out because a side was empty or nothing but spaces.
    """

    pairs: list[Pair]
    dropped_empty: int = 0

    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)


def read_pairs(spec: PairsSpec, folder: str | Path = ".") -> Pairs:
    r"""Reads pairs from the files that a recipe names.

    - `path` ending in `.csv` or `.csv.gz`: CSV with a header; columns by name, or by number from 0.
    - any other `path`: one pair a line, columns separated by tabs, no header and no quoting; columns beyond
      the two asked for are ignored, as in the files of Tatoeba and Anki. Blank lines are skipped.
    - `source` and `target`: two files with one sentence a line, aligned by line.

    Files are UTF-8, with or without a byte order mark, and gzip where they end in `.gz`. A line of a text or
    TSV file ends at `\n` or `\r\n` and nowhere else: U+2028, U+0085 and `\v` occur inside sentences.

    Args:
        spec: where the pairs are.
        folder: where relative paths start.

    Returns:
        The pairs in file order; those with an empty side are left out and counted.

    Raises:
        DataError: if a file is missing, empty, damaged, in another encoding, or not of the shape above.
    """
    if spec.path:
        path = find_file(spec.path, folder)
        is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
        rows = _csv_rows(path, spec) if is_csv else _tsv_rows(path, spec)
    else:
        rows = _aligned_rows(find_file(spec.source, folder), find_file(spec.target, folder))
    pairs, dropped = [], 0
    for source, target in rows:
        if source.strip() and target.strip():
            pairs.append((source, target))
        else:
            dropped += 1
    if not pairs:
        raise DataError(
            f"`{spec.path or spec.source}` holds no pair. Expected text on both sides of at least one. "
            f"Received: {dropped} with an empty side. Check the columns or the files."
        )
    return Pairs(pairs, dropped)


def write_pairs(path: str | Path, pairs: Iterable[Pair]) -> None:
    """Writes pairs as a TSV file that `read_pairs` reads back.

    The file appears complete or not at all: it is written beside its place and then renamed.

    Args:
        path: the file; an older one is replaced. Its folder must exist.
        pairs: `(source, target)` of one line each.

    Raises:
        DataError: if a text is empty or holds a character that TSV cannot, if the ending promises another
            format, or if the file cannot be written.
    """
    path = Path(path)
    if path.name.lower().endswith((".csv", ".gz")):
        raise DataError(f"`{path}` is written as plain TSV. Expected an ending such as `.tsv`.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(_tsv_line(number, pair) for number, pair in enumerate(pairs, start=1))
        beside.replace(path)
    except OSError as error:
        raise DataError(f"`{path}` cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def _aligned_rows(source: Path, target: Path) -> Iterator[Pair]:
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        longer, lines = (source, sources) if len(sources) > len(targets) else (target, targets)
        first = min(len(sources), len(targets))
        raise DataError(
            f"`{source}` and `{target}` are not aligned. Expected equally many lines. Received: "
            f"{len(sources)} and {len(targets)}. Line {first + 1} of `{longer.name}` is the first without a "
            f"partner: {shown(lines[first])}."
        )
    return zip(sources, targets, strict=True)


def _tsv_rows(path: Path, spec: PairsSpec) -> Iterator[Pair]:
    columns = (spec.source_column, spec.target_column)
    for name, column in zip(("source_column", "target_column"), columns, strict=True):
        if isinstance(column, str):
            raise DataError(
                f"`{name}` must be a number for `{path}`, because a TSV file has no header. "
                f"Expected 0 for the first column. Received: {column!r}."
            )
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) == 1 and not line.strip():
            continue
        if len(fields) <= max(columns):
            raise DataError(
                f"Line {number} of `{path}` has too few columns. Expected at least {max(columns) + 1}, "
                f"separated by tabs. Received: {len(fields)}, {shown(line)}."
            )
        yield fields[columns[0]], fields[columns[1]]


def _csv_rows(path: Path, spec: PairsSpec) -> Iterator[Pair]:
    # Strict: a quote left open would otherwise swallow the rest of the file as one field.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
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
            yield row[source], row[target]
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


def _tsv_line(number: int, pair: Pair) -> str:
    source, target = pair
    for text in pair:
        # A mark at the very start of the file would be taken for a byte order mark.
        wrong = [mark for mark in "\t\n\r\0" if mark in text]
        if wrong or not text.strip() or (number == 1 and source.startswith("\ufeff")):
            raise DataError(
                f"Pair {number} cannot be written as TSV. Expected text without tab, line break, NUL and "
                f"leading U+FEFF. Received: {shown(text)}. Replace or drop it first."
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"Pair {number} cannot be written as UTF-8: it holds half a character. "
                f"Received: {shown(text)}."
            ) from None
    return f"{source}\t{target}\n"
