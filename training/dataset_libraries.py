"""Pairs from libraries of data sets where they are installed: TensorFlow Datasets, Hugging Face."""

import importlib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from .named_columns import text_of
from .recipe import PairsSpec
from .text_files import DataError


def tfds_rows(spec: PairsSpec) -> Iterator[tuple[str, str]]:
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


def hugging_face_rows(spec: PairsSpec) -> Iterator[tuple[str, str]]:
    """The two columns of a data set of Hugging Face's `datasets`.

    Args:
        spec: with `hugging_face`, `config`, `split` and names of columns.

    Raises:
        DataError: if the library is not installed, cannot load the data set, or it has no such column.
    """
    library = _library("datasets", "datasets", spec.hugging_face)

    def load() -> Iterable[Any]:
        return library.load_dataset(spec.hugging_face, spec.config or None, split=spec.split or "train")

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
        raise DataError(
            f"`{name}` cannot be loaded by {library}: {type(error).__name__}: {error}. "
            f"Check its name, `split` and the network, or give the pairs as files."
        ) from error


def _texts(records: Iterable[Any], spec: PairsSpec, name: str) -> Iterator[tuple[str, str]]:
    for number, record in enumerate(records, start=1):
        where = f"Example {number} of `{name}`"
        yield (
            text_of(record, spec.source_column, "source_column", where),
            text_of(record, spec.target_column, "target_column", where),
        )
