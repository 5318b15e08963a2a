"""Signatures of a SavedModel, with typed inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_attn.serving.protos.data_types import dtype_name
from keras_attn.serving.protos.generated_messages import generated
from keras_attn.serving.protos.tensors import from_proto

meta_graph_pb2 = generated("tensorflow.core.protobuf.meta_graph_pb2")

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY_METHOD, REGRESS_METHOD = "tensorflow/serving/classify", "tensorflow/serving/regress"
METHODS = ("tensorflow/serving/predict", CLASSIFY_METHOD, REGRESS_METHOD)


@dataclass(frozen=True)
class TensorInfo:
    """One input or output: the tensor's name in the graph and its `DataType` number."""

    tensor_name: str
    dtype: int

    @property
    def dtype_name(self) -> str:
        """TensorFlow's C++ name of the type: `float`, `int32`, `string`, `half`."""
        return dtype_name(self.dtype)


@dataclass(frozen=True)
class Signature:
    """One callable of a model, with the values of inputs that may be left out."""

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: Mapping[str, np.ndarray]


def read_signature(name: str, definition: meta_graph_pb2.SignatureDef) -> Signature:
    """Converts a `SignatureDef` message."""
    return Signature(
        name=name,
        inputs={alias: TensorInfo(info.name, info.dtype) for alias, info in definition.inputs.items()},
        outputs={alias: TensorInfo(info.name, info.dtype) for alias, info in definition.outputs.items()},
        defaults={alias: from_proto(alias, proto) for alias, proto in definition.defaults.items()},
    )
