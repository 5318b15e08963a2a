"""Checks that an export gives the same answers on every backend."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.errors import UserError
from keras_attn.export.verification.comparison import differences, rows_of
from keras_attn.export.verification.servable_ops import UnservableOpError, check_ops
from keras_attn.export.verification.ties import tied_rows

# What a server's JSON can write.
_REST_TYPES = {"string", "bool", "float32", "float64", "int32", "int64", "uint8", "int8", "int16"}


class VerificationError(UserError, ValueError):
    """An export that answers otherwise than it should, or cannot be served."""


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: of what was checked, such as a backend.
        problems: sentences; none where it passed.
        count: number of answers that were compared, 0 where nothing is counted.
        num_ties: how many rows chose otherwise between equally probable texts; see `tied_rows`.
        is_reference: whether the answers are those that the others were compared with, and no more.
    """

    name: str
    problems: tuple[str, ...]
    count: int = 0
    num_ties: int = 0
    is_reference: bool = False

    @property
    def passed(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def check_graph(folder):
    """The checks that need no run: ops, and what goes in and out.

    Args:
        folder: of the version.

    Returns:
        A list of `Check`s.
    """
    try:
        check_ops(folder)
        problems = ()
    except UnservableOpError as error:
        problems = (str(error),)
    definitions = signature_definitions(folder)
    return [
        Check("ops that TensorFlow Serving runs", problems),
        Check("inputs and outputs", tuple(_encoding_problems(definitions)), len(definitions)),
    ]


def check_backends(backends, requests, batches, tolerance, progress=lambda step: None):
    """Compares every backend with the first one, row by row, however the rows are put together.

    Args:
        backends: objects with a `name` and `ask(signature, inputs)`; the first one is asked for all rows at
            once, and the others, and itself in other batches, have to agree with it. One that has `asks_once`
            is asked for no other batches.
        requests: a dictionary of signature name to inputs, arrays with the rows first.
        batches: lists of row numbers.
        tolerance: a `RoundingTolerance` or `FixedTolerance`, see `differences`.
        progress: called with the backend and the signature that come next.

    Returns:
        A `Check` for each backend.
    """
    expected = {}
    for name, inputs in requests.items():
        progress(f"{backends[0].name}: {name}")
        expected[name] = backends[0].ask(name, inputs)
    return [
        _check_backend(backend, requests, batches, expected, tolerance, backends[0], progress)
        for backend in backends
    ]


def batches_of(count):
    """Batches, all different, that put `count` rows together, all of them first: sizes, orders, company."""
    rows = list(range(count))
    pairs = [[row, rows[-1 - row]] for row in rows[:2] if count > 1]
    singles = [[row] for row in sorted({0, count // 2, count - 1})]
    return [list(batch) for batch in dict.fromkeys(map(tuple, [rows, rows[::-1], *pairs, *singles]))]


def signature_definitions(folder):
    """The signatures of a SavedModel: a dictionary of name to `SignatureDef`."""
    saved = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    return {name: definitions[name] for name in sorted(definitions) if not name.startswith("__")}


def _check_backend(backend, requests, batches, expected, tolerance, first, progress):
    problems, count, num_ties = [], 0, 0
    if asks_once := getattr(backend, "asks_once", False):
        batches = batches[:1]
    for name, inputs in requests.items():
        if backend is not first:
            progress(f"{backend.name}: {name}")
        for rows in batches:
            count += 1
            if backend is first and rows == list(range(len(next(iter(inputs.values()))))):
                continue  # what is expected is its answer to this
            asked = {key: np.asarray(value)[rows] for key, value in inputs.items()}
            found, tied = _compare(backend, first, name, asked, rows_of(expected[name], rows), tolerance)
            problems += [f"{name}, rows {rows}: {sentence}" for sentence in found]
            num_ties += tied
    return Check(backend.name, tuple(problems), count, num_ties, backend is first and asks_once)


def _compare(backend, first, name, inputs, expected, tolerance):
    """Sentences on the differences, and the number of rows that are tied."""
    try:
        answer = backend.ask(name, inputs)
        found = differences(expected, answer, tolerance)
        if not found:
            return [], 0
        tied = tied_rows(first, name, inputs.get("text"), expected, answer, tolerance)
        rest = [row for row in range(len(next(iter(inputs.values())))) if row not in tied]
        return differences(rows_of(expected, rest), rows_of(answer, rest), tolerance), len(tied)
    except (tf.errors.OpError, ValueError, KeyError) as error:
        return [f"{type(error).__name__}: {str(error).splitlines()[0]}"], 0


def _encoding_problems(definitions):
    for name, definition in definitions.items():
        for kind, tensors in (("input", definition.inputs), ("output", definition.outputs)):
            for key, info in sorted(tensors.items()):
                place = f"{kind} `{key}` of {name}"
                if info.WhichOneof("encoding") != "name":
                    yield f"{place} is no plain tensor: servers can neither take nor return it"
                elif tf.dtypes.as_dtype(info.dtype).name not in _REST_TYPES:
                    yield f"{place} is {tf.dtypes.as_dtype(info.dtype).name}, which JSON cannot carry"
                elif not info.tensor_shape.unknown_rank and (
                    not info.tensor_shape.dim or info.tensor_shape.dim[0].size != -1
                ):
                    yield f"{place} has no batch axis"
