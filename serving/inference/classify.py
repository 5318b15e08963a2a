"""Running a classification signature: examples in, classes with labels and scores out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.protos.data_types import data_type, shape_text

_LABELS, _SCORES = "classes", "scores"


@dataclass(frozen=True)
class Classification:
    """The classes of a batch of examples.

    Args:
        num_examples: B.
        labels: object array of bytes `[B, C]`, or None if the signature gives scores alone.
        scores: float32 array `[B, C]`, or None if the signature gives labels alone.
    """

    num_examples: int
    labels: np.ndarray | None = None
    scores: np.ndarray | None = None

    def rows(self) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """Yields labels and scores of each example; what the signature does not give is `b""` or 0."""
        given = self.labels if self.labels is not None else self.scores
        labels = self.labels if self.labels is not None else np.full(given.shape, b"", dtype=object)
        scores = self.scores if self.scores is not None else np.zeros(given.shape, np.float32)
        yield from zip(labels.tolist(), scores, strict=True)


def classification_tensors(definition: meta_graph_pb2.SignatureDef) -> tuple[str, dict[str, str]]:
    """Returns the input's tensor name, and those of `classes` and `scores` as far as there are any.

    Raises:
        ServingError: the signature is none for classification.
    """
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if "inputs" not in definition.inputs:
        text = text_format.MessageToString(definition)
        raise ServingError(
            Code.FAILED_PRECONDITION, f"No classification inputs found in SignatureDef: {text}"
        )
    outputs = {alias: info.name for alias, info in definition.outputs.items() if alias in (_LABELS, _SCORES)}
    if not outputs:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f'Expected classification signature outputs to contain at least one of "{_LABELS}" or'
            f' "{_SCORES}". Signature was: {text_format.MessageToString(definition)}',
        )
    return definition.inputs["inputs"].name, outputs


def classification_of(num_examples: int, arrays: Mapping[str, np.ndarray]) -> Classification:
    """Checks what a signature computed.

    Args:
        num_examples: examples that it was fed with.
        arrays: `classes`, `scores` or both.

    Raises:
        ServingError: a wrong shape, type or batch size.
    """
    labels, scores = arrays.get(_LABELS), arrays.get(_SCORES)
    if labels is not None:
        _check(_LABELS, labels, types_pb2.DT_STRING, num_examples)
    if scores is not None:
        _check(_SCORES, scores, types_pb2.DT_FLOAT, num_examples)
    if labels is not None and scores is not None and labels.shape[1] != scores.shape[1]:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got"
            f" {labels.shape[1]} vs. {scores.shape[1]}"
        )
    return Classification(num_examples, labels, scores)


def _check(alias: str, array: np.ndarray, expected_type: int, num_examples: int) -> None:
    if array.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    dtype = data_type(array)
    if dtype != expected_type:
        wanted, got = types_pb2.DataType.Name(expected_type), types_pb2.DataType.Name(dtype)
        raise invalid(f"Expected {alias} Tensor of {wanted}. Got: {got}")
    if array.shape[0] != num_examples:
        raise invalid(f"Expected {alias} output batch size of {num_examples}. Got: {array.shape[0]}")
