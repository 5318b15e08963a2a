"""Pairs from libraries of data sets where they are installed: TensorFlow Datasets, Hugging Face."""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_attn.training.data.named_columns import text_of
from keras_attn.training.data.text_files import DataError, Row
from keras_attn.training.recipe.recipe import PairsSpec


def tfds_rows(spec: PairsSpec) -> Iterator[Row]:
    """The two columns of a data set of TensorFlow Datasets, in the order of its files.

    Args:
        spec: with `tfds`, `split` and names of columns.

    Raises:
        DataError: if the library is not installed, cannot load the data set, or it has no such column.
    """
    library = _library("tensorflow_datasets", "tensorflow-datasets", spec.tfds)

    def load() -> Iterable[Any]:
        return library.as_numpy(library.load(spec.tfds, split=spec.split or "train", shuffle_files=False))

    return _texts(_loaded(load, spec.tfds, "TensorFlow Datasets"), spec, spec.tfds)


def hugging_face_rows(spec: PairsSpec, folder: str | Path = ".") -> Iterator[Row]:
    """The two columns of a data set of Hugging Face's `datasets`.

    `hugging_face` may be a folder as well: of CSV or JSON files, or what `save_to_disk` wrote.

    Args:
        spec: with `hugging_face`, `config`, `split` and names of columns.
        folder: where a folder is looked for first.

    Raises:
        DataError: if the library is not installed, cannot load the data set, or it has no such column.
    """
    library = _library("datasets", "datasets", spec.hugging_face)
    local = Path(folder, spec.hugging_face)
    name = str(local) if local.is_dir() else spec.hugging_face

    def load() -> Iterable[Any]:
        if (Path(name) / "state.json").exists():  # one saved split, which `load_dataset` refuses
            if spec.split or spec.config:
                raise ValueError("it was saved as one split, which has no `split` and no `config` to choose")
            return library.load_from_disk(name)
        return library.load_dataset(name, spec.config or None, split=spec.split or "train")

    return _texts(_loaded(load, spec.hugging_face, "Hugging Face's datasets"), spec, spec.hugging_face)


def _library(module: str, package: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"`{name}` needs the package {package}, which cannot be imported ({error}). "
            f"Install it: `pip install {package}`. Or give the pairs as files."
        ) from None


def _loaded(load: Any, name: str, library: str) -> Iterable[Any]:
    try:
        return load()
    except Exception as error:  # whatever the library raises: no such data set, no network, no space
        # Of TensorFlow Datasets it goes on with the names of all data sets there are.
        problem = str(error).strip().partition("\n")[0].rstrip(". ")
        raise DataError(
            f"`{name}` cannot be loaded by {library}: {type(error).__name__}: {problem}. "
            f"Check its name, `split` and the network, or give the pairs as files."
        ) from error


def _texts(records: Iterable[Any], spec: PairsSpec, name: str) -> Iterator[Row]:
    for number, record in enumerate(records, start=1):
        where = f"Example {number} of `{name}`"
        yield (
            number,
            text_of(record, spec.source_column, "source_column", where),
            text_of(record, spec.target_column, "target_column", where),
        )
