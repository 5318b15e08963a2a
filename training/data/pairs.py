"""Pairs of texts: read from a user's files or a library of data sets, and written.

A text is what stands in the file, character for character: no trimming, no Unicode normalisation. What would
teach a model nonsense without a word (files that shift against each other, a wrong encoding, a quote that
swallows half a table) is refused with a sentence that says where.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from keras_attn.files import written_whole
from keras_attn.training.data.dataset_libraries import hugging_face_rows, tfds_rows
from keras_attn.training.data.table_files import aligned_rows, csv_rows, json_rows, tsv_rows
from keras_attn.training.data.text_files import DataError, Row, find_file, shown
from keras_attn.training.recipe.recipe import PairsSpec

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

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...

    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)


def read_pairs(spec: PairsSpec, folder: str | Path = ".") -> Pairs:
    r"""Reads pairs from where a recipe says that they are.

    - `path` ending in `.csv` or `.csv.gz`: CSV with a header; columns by name, or by number from 0.
    - `path` ending in `.jsonl` or `.jsonl.gz`: a JSON value a line; columns by name (`translation.de` where
      one object is inside another), or by number where the lines are arrays.
    - any other `path`: one pair a line, columns separated by tabs, no header and no quoting; columns beyond
      the two asked for are ignored, as in the files of Tatoeba and Anki. Blank lines are skipped.
    - `source` and `target`: two files with one sentence a line, aligned by line.
    - `tfds`, `hugging_face`: a data set of TensorFlow Datasets or of Hugging Face's `datasets`, which must be
      installed; it is looked up, fetched and kept by that library. Columns by name, as in JSON.

    Files are UTF-8, with or without a byte order mark, and gzip where they end in `.gz`. A line of a text or
    TSV file ends at `\n` or `\r\n` and nowhere else: U+2028, U+0085 and `\v` occur inside sentences. A file
    that `\r` alone divides is refused.

    Args:
        spec: where the pairs are.
        folder: where relative paths start.

    Returns:
        The pairs in file order; those with an empty side are left out and counted.

    Raises:
        DataError: if a file is missing, empty, damaged, in another encoding, or not of the shape above; if a
            library is not installed, or cannot load the data set.
    """
    rows, name = _rows(spec, folder)
    pairs, dropped = [], 0
    for _, source, target in rows:
        if source.strip() and target.strip():
            pairs.append((source, target))
        else:
            dropped += 1
    if not pairs:
        raise DataError(
            f"`{name}` holds no pair. Expected text on both sides of at least one. "
            f"Received: {dropped} with an empty side. Check the columns or the files."
        )
    return Pairs(pairs, dropped)


def line_numbers(spec: PairsSpec, pairs: Iterable[Pair], folder: str | Path = ".") -> list[list[int]]:
    """Finds the lines of pairs by reading again: keeping those of millions for one error would be dear.

    Args:
        spec: where the pairs were read.
        pairs: some of them.
        folder: where relative paths start.

    Returns:
        For each pair all the lines (of a library's data set: examples) that hold it, counted from 1; none
        where it is not there any more.

    Raises:
        DataError: as `read_pairs`.
    """
    pairs = list(pairs)
    places: dict[Pair, list[int]] = {pair: [] for pair in pairs}
    for number, source, target in _rows(spec, folder)[0]:
        if (source, target) in places:
            places[source, target].append(number)
    return [places[pair] for pair in pairs]


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
    if path.name.lower().endswith((".csv", ".jsonl", ".gz")):
        raise DataError(f"`{path}` is written as plain TSV. Expected an ending such as `.tsv`.")
    try:
        with written_whole(path) as beside, open(beside, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(_tsv_line(number, pair) for number, pair in enumerate(pairs, start=1))
    except OSError as error:
        raise DataError(f"`{path}` cannot be written: {error.strerror}.") from None


def _rows(spec: PairsSpec, folder: str | Path) -> tuple[Iterable[Row], str]:
    """The pairs as they stand there, and what to call the place."""
    if spec.tfds:
        return tfds_rows(spec), spec.tfds
    if spec.hugging_face:
        return hugging_face_rows(spec, folder), spec.hugging_face
    if not spec.path:
        return aligned_rows(find_file(spec.source, folder), find_file(spec.target, folder)), spec.source
    path = find_file(spec.path, folder)
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    return {"csv": csv_rows, "jsonl": json_rows}.get(ending, tsv_rows)(path, spec), spec.path


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
