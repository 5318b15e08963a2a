"""Running a regression signature: examples in, one number for each out."""

from __future__ import annotations

import numpy as np
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.protos.data_types import data_type, shape_text


def regression_tensors(definition: meta_graph_pb2.SignatureDef) -> tuple[str, str]:
    """Returns the tensor names of input and output.

    Raises:
        ServingError: the signature is none for regression.
    """
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    for alias, infos in (("inputs", definition.inputs), ("outputs", definition.outputs)):
        if alias not in infos:
            text = text_format.MessageToString(definition)
            raise ServingError(
                Code.FAILED_PRECONDITION, f"No regression {alias} found in SignatureDef: {text}"
            )
    return definition.inputs["inputs"].name, definition.outputs["outputs"].name


def regression_of(num_examples: int, array: np.ndarray) -> np.ndarray:
    """Checks what a signature computed.

    Args:
        num_examples: examples that it was fed with, B.
        array: `[B]` or `[B, 1]`.

    Returns:
        float32 array `[B]`.

    Raises:
        ServingError: a wrong shape, type or batch size.
    """
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got"
            f" {shape_text(array)}"
        )
    if array.shape[0] != num_examples:
        raise invalid(
            f"Input batch size did not match output batch size: {num_examples} vs. {array.shape[0]}"
        )
    dtype = data_type(array)
    if dtype != types_pb2.DT_FLOAT:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {types_pb2.DataType.Name(dtype)}")
    return array.reshape(-1)  # [B]
