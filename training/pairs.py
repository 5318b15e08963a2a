"""Pairs of texts: read from a user's files, held out, and written.

A text is what stands in the file, character for character: no trimming, no Unicode normalisation. What would
teach a model nonsense without a word (files that shift against each other, a wrong encoding, a quote that
swallows half a table) is refused with a sentence that says where.
"""

import csv
import gzip
import io
import os
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from .recipe import PairsSpec

Pair = tuple[str, str]


class DataError(ValueError):
    """Data that cannot be used; the message says which, where, and what to do."""


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


class PairsSplit(NamedTuple):
    """Three parts of a list of pairs that share neither a source nor a target."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


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
        path = _find(spec.path, folder)
        is_csv = path.name.lower().endswith((".csv", ".csv.gz"))
        rows = _csv_rows(path, spec) if is_csv else _tsv_rows(path, spec)
    else:
        rows = _aligned_rows(_find(spec.source, folder), _find(spec.target, folder))
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


def split_pairs(
    pairs: Sequence[Pair], validation_size: int | float, test_size: int | float, seed: int = 0
) -> PairsSplit:
    """Holds pairs out for validation and test.

    Collections repeat themselves: one sentence with three translations, one answer to ten questions. Pairs
    that share a source or a target, directly or through others, form a group, and a group stays in one part:
    nothing that is held out, on either side, occurs in another part. Groups come in random order; one that is
    larger than the room left is passed over.

    Args:
        pairs: `(source, target)`.
        validation_size: pairs to hold out; an integer is their number, a float below 1 their fraction.
        test_size: the same for test.
        seed: the same seed and pairs give the same parts.

    Returns:
        `PairsSplit(train, validation, test)`, each in the order of `pairs`. A held-out part has the size
        asked for, or less where the groups do not fit into it exactly.

    Raises:
        DataError: if a size is not allowed, leaves nothing to train with, or is smaller than every group.
    """
    rooms = _rooms(validation_size, test_size, seed, len(pairs))
    groups = _groups(pairs)
    generator = random.Random(seed)
    groups.sort(key=lambda _: generator.random())  # `random()` alone gives the same on every Python version
    parts = []
    for name, room in rooms.items():
        taken, groups = _take(groups, room)
        if room and not taken:
            raise DataError(
                f"`{name}` cannot be held out: every group of pairs with common texts is larger. "
                f"Expected at least {min(map(len, groups))} pairs. Received: {room}."
            )
        parts.append(taken)
    train = [index for group in groups for index in group]
    return PairsSplit(*([pairs[index] for index in sorted(part)] for part in (train, *parts)))


def _find(name: str, folder: str | Path) -> Path:
    path = Path(folder) / Path(name).expanduser()
    if path.is_dir():
        raise DataError(f"`{path}` is a directory. Expected a file. Name a file inside it.")
    if path.exists():
        return path
    if not path.parent.is_dir():
        raise DataError(f"`{name}` was not found: there is no folder `{path.parent}`. Check `folder`.")
    near = get_close_matches(path.name, [entry.name for entry in path.parent.iterdir()], n=1)
    hint = f"Did you mean `{near[0]}`?" if near else "Check `folder` and the file's name."
    raise DataError(f"`{name}` was not found in the folder `{path.parent}`. {hint}")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data) if data else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"`{path}` is no complete gzip file ({error}). Fetch or compress it again.") from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror}.") from None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(_wrong_encoding(path, data, error.start)) from None
    if "\0" in text:
        byte = data.index(b"\0")
        raise DataError(
            f"`{path}` is no text: byte {byte}, in line {_line_of(data, byte)}, is NUL. "
            f"Expected UTF-8 text. If it is UTF-16, convert it: `iconv -f UTF-16 -t UTF-8`."
        )
    if not text.strip():
        raise DataError(f"`{path}` is empty. Expected at least one line of text.")
    return text


def _wrong_encoding(path: Path, data: bytes, byte: int) -> str:
    """What to say about bytes that are no UTF-8, with the cure where the encoding can be told."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"`{path}` is UTF-16. Expected UTF-8. Convert it: `iconv -f UTF-16 -t UTF-8`."
    if data.startswith(b"\x1f\x8b"):
        return f"`{path}` is compressed with gzip. Expected plain text. Let its name end in `.gz`."
    where = f"line {_line_of(data, byte)}, byte {byte} (0x{data[byte]:02X})"
    if _is_korean(data):
        return (
            f"`{path}` is CP949 (EUC-KR), first seen in {where}. Expected UTF-8. "
            f"Convert it: `iconv -f CP949 -t UTF-8`."
        )
    return f"`{path}` is not UTF-8: {where}. Expected UTF-8. Convert it with `iconv -t UTF-8`."


def _is_korean(data: bytes) -> bool:
    """Whether the bytes are CP949 that makes sense: other encodings decode too, but not to Hangul."""
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        return False
    letters = [letter for letter in text if letter > "\x7f" and letter.isalpha()]
    # Syllables only: Japanese kana in EUC-JP decode to single Hangul letters, Chinese in good part to Hanja.
    syllables = sum("가" <= letter <= "힣" for letter in letters)
    return syllables > 0.8 * len(letters)


def _line_of(data: bytes, byte: int) -> int:
    return data.count(b"\n", 0, byte) + 1


def _lines(path: Path) -> list[str]:
    lines = _read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()  # the newline at the end of a file ends its last line and begins no other
    return [line.removesuffix("\r") for line in lines]


def _aligned_rows(source: Path, target: Path) -> Iterator[Pair]:
    sources, targets = _lines(source), _lines(target)
    if len(sources) != len(targets):
        longer, lines = (source, sources) if len(sources) > len(targets) else (target, targets)
        first = min(len(sources), len(targets))
        raise DataError(
            f"`{source}` and `{target}` are not aligned. Expected equally many lines. Received: "
            f"{len(sources)} and {len(targets)}. Line {first + 1} of `{longer.name}` is the first without a "
            f"partner: {_shown(lines[first])}."
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
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) == 1 and not line.strip():
            continue
        if len(fields) <= max(columns):
            raise DataError(
                f"Line {number} of `{path}` has too few columns. Expected at least {max(columns) + 1}, "
                f"separated by tabs. Received: {len(fields)}, {_shown(line)}."
            )
        yield fields[columns[0]], fields[columns[1]]


def _csv_rows(path: Path, spec: PairsSpec) -> Iterator[Pair]:
    # Strict: a quote left open would otherwise swallow the rest of the file as one field.
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
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
                    f"{max(source, target) + 1}. Received: {len(row)}, {_shown(','.join(row))}."
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
                f"leading U+FEFF. Received: {_shown(text)}. Replace or drop it first."
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"Pair {number} cannot be written as UTF-8: it holds half a character. "
                f"Received: {_shown(text)}."
            ) from None
    return f"{source}\t{target}\n"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _rooms(validation_size: int | float, test_size: int | float, seed: int, total: int) -> dict[str, int]:
    """How many pairs to hold out, by the name of the argument that says so."""
    if type(seed) is not int:
        raise DataError(f"`seed` must be an integer. Received: {seed!r}.")
    sizes = {"validation_size": validation_size, "test_size": test_size}
    rooms = {name: _count(name, size, total) for name, size in sizes.items()}
    if sum(rooms.values()) >= total:
        raise DataError(
            f"`validation_size` and `test_size` leave nothing to train with. Expected fewer than {total} "
            f"pairs together. Received: {rooms['validation_size']} and {rooms['test_size']}."
        )
    return rooms


def _count(name: str, size: int | float, total: int) -> int:
    if type(size) is int and size >= 0:
        return size
    if type(size) is float and 0 <= size < 1:
        # A fraction that was asked for is never rounded to nothing.
        return max(1, round(size * total)) if size else 0
    raise DataError(
        f"`{name}` must be a number of pairs or a fraction of them. "
        f"Expected an integer of at least 0 or a float below 1. Received: {size!r}."
    )


def _groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Indices of pairs that share a text on either side, directly or through other pairs (union-find)."""
    parents = list(range(len(pairs)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    first_with: dict[tuple[int, str], int] = {}
    for index, pair in enumerate(pairs):
        for side_and_text in enumerate(pair):
            parents[root(index)] = root(first_with.setdefault(side_and_text, index))
    groups: dict[int, list[int]] = {}
    for index in range(len(pairs)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _take(groups: list[list[int]], room: int) -> tuple[list[int], list[list[int]]]:
    """Indices of the first groups that fit into the room, and the groups that are left."""
    taken, left = [], []
    for group in groups:
        if len(taken) + len(group) <= room:
            taken += group
        else:
            left.append(group)
    return taken, left
