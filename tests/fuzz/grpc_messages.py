"""Fuzzes the gRPC services with atheris (`pip install 'keras-attn[fuzz]'`; Linux).

    python tests/fuzz/grpc_messages.py --seconds 180

The first byte of an input chooses the method; the rest is the request in binary form or, from 128 on, what a
predict request is built from. It must be answered without blaming the server, every answer must have a binary
form, and a tensor that is read must survive being written.
"""

import atheris
import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_attn.quiet import import_tensorflow

import_tensorflow()

with atheris.instrument_imports(include=["keras_attn.serving"]):
    from running import fuzz

    from keras_attn.serving.errors import Code, ServingError
    from keras_attn.serving.grpc.services import Services
    from keras_attn.serving.protos.tensors import from_proto, to_proto

REQUESTS = (
    ("Predict", predict_pb2.PredictRequest),
    ("Classify", classification_pb2.ClassificationRequest),
    ("Regress", regression_pb2.RegressionRequest),
    ("MultiInference", inference_pb2.MultiInferenceRequest),
    ("GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest),
    ("GetModelStatus", get_model_status_pb2.GetModelStatusRequest),
)
BUILT = 128
INPUTS = {"half": ("x",), "two": ("a", "b"), "shout": ("text",), "integers": ("ids",)}
DTYPES = sorted(types_pb2.DataType.values())
SERVERS_FAULT = {Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.UNAVAILABLE, Code.CANCELLED}


def seeds():
    import tensorflow as tf

    inputs = {
        "half": {"x": np.float32([1, 2])},
        "two": {"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.float32)},
        "shout": {"text": [b"a", b"\xff"]},
        "integers": {"ids": np.int64([[1]])},
    }
    for model, arrays in inputs.items():
        request = predict_pb2.PredictRequest(model_spec={"name": model}, output_filter=["y"])
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        yield b"\x00" + request.SerializeToString()
        request.ClearField("output_filter")
        yield b"\x00" + request.SerializeToString()
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(1.0)
    listed = {"example_list": {"examples": [example]}}
    task = {"model_spec": {"name": "examples"}, "method_name": "tensorflow/serving/regress"}
    for number, (_, kind) in enumerate(REQUESTS[1:3], 1):
        yield bytes([number]) + kind(model_spec={"name": "examples"}, input=listed).SerializeToString()
    yield b"\x03" + REQUESTS[3][1](tasks=[task], input=listed).SerializeToString()
    metadata = {"model_spec": {"name": "half"}, "metadata_field": ["signature_def"]}
    yield b"\x04" + REQUESTS[4][1](**metadata).SerializeToString()
    yield bytes([BUILT, *range(60)])
    yield b"\x05" + REQUESTS[5][1](model_spec={"name": "half"}).SerializeToString()


def make_target(registry):
    methods = Services(registry).methods()

    def target(data):
        if not data:
            return
        name, kind = REQUESTS[data[0] % len(REQUESTS)] if data[0] < BUILT else REQUESTS[0]
        try:
            request = kind.FromString(data[1:]) if data[0] < BUILT else built(data[1:])
        except DecodeError:
            return  # gRPC itself refuses it
        try:
            methods[name](request, 0).SerializeToString()
        except ServingError as error:
            if error.code in SERVERS_FAULT:
                raise
        for alias, tensor in getattr(request, "inputs", {}).items():
            check_tensor(alias, tensor)

    return target


def built(data):
    """A predict request with tensors of any type, shape and content."""
    choices = atheris.FuzzedDataProvider(data)
    model = choices.PickValueInList([*INPUTS, "default_input", "below10", "examples"])
    request = predict_pb2.PredictRequest(model_spec={"name": model})
    for alias in INPUTS.get(model, ("x",)):
        tensor = request.inputs[alias]
        tensor.dtype = choices.PickValueInList(DTYPES)
        for _ in range(choices.ConsumeIntInRange(0, 3)):
            tensor.tensor_shape.dim.add(size=choices.ConsumeIntInRange(-2, 4))
        tensor.tensor_shape.unknown_rank = choices.ConsumeProbability() > 0.9
        if choices.ConsumeBool():
            tensor.tensor_content = choices.ConsumeBytes(choices.ConsumeIntInRange(0, 48))
        numbers = choices.ConsumeIntListInRange(choices.ConsumeIntInRange(0, 4), -(2**31), 2**31 - 1)
        tensor.float_val.extend(choices.ConsumeFloatListInRange(len(numbers), -1e38, 1e38))
        tensor.int_val.extend(numbers)
        tensor.int64_val.extend(numbers)
        tensor.half_val.extend(numbers)
        tensor.string_val.append(choices.ConsumeBytes(3))
    return request


def check_tensor(alias, tensor):
    try:
        array = from_proto(alias, tensor)
    except ServingError:
        return
    again = from_proto(alias, to_proto(array))
    values = [repr(a.tolist()) for a in (array, again)]  # as texts, for NaN is not NaN
    if values[0] != values[1] or (again.dtype, again.shape) != (array.dtype, array.shape):
        raise AssertionError(f"{array!r} became {again!r}")


if __name__ == "__main__":
    fuzz(make_target, list(seeds()), __doc__)
