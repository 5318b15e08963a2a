"""The body of a classify or regress request in JSON: a list of `tf.Example`s as plain objects."""

from __future__ import annotations

import numpy as np

from keras_attn.serving.errors import invalid
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.tensor import is_base64, to_bytes, type_name
from keras_attn.serving.protos.generated_messages import generated

example_pb2 = generated("tensorflow.core.example.example_pb2")
feature_pb2 = generated("tensorflow.core.example.feature_pb2")
input_pb2 = generated("tensorflow_serving.apis.input_pb2")

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_examples(document: dict) -> input_pb2.Input:
    """Reads `examples` and, where there is one, the `context` that all of them share.

    Args:
        document: the parsed body.

    Returns:
        The input of a `ClassificationRequest` or `RegressionRequest`.

    Raises:
        ServingError: no examples, or values that no feature can hold.
    """
    request_input = input_pb2.Input()
    examples = request_input.example_list.examples
    if "context" in document:
        with_context = request_input.example_list_with_context
        _fill_example(with_context.context, document["context"])
        examples = with_context.examples
    for value in _example_values(document):
        _fill_example(examples.add(), value)
    return request_input


def _example_values(document: dict) -> list:
    # The text names classify for regress requests too, as the stock server does.
    if "examples" not in document:
        problem = "When method is classify, key 'examples' is expected and was not found"
    elif not isinstance(document["examples"], list):
        problem = "Expecting 'examples' value to be an list/array"
    elif not document["examples"]:
        problem = "'examples' value is an empty array"
    else:
        return document["examples"]
    raise invalid(f"JSON Value: {dump_json(document)} {problem}")


def _fill_example(example: example_pb2.Example, value: object) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    example.SetInParent()
    for name, content in value.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError as error:
            text = name.encode("utf-8", "replace").decode()
            raise invalid(f"Feature: {text} has a name that is no UTF-8. Expected UTF-8.") from error
        feature.Clear()  # of equal names, the last one counts
        for item in content if isinstance(content, list) else [content]:
            _add_value(feature, name, item)


def _add_value(feature: feature_pb2.Feature, name: str, item: object) -> None:
    """Appends one value; the first one decides the kind of the feature."""
    kind, value = _kind_and_value(name, item)
    current = feature.WhichOneof("kind")
    if current not in (None, kind):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[current]}")
    getattr(feature, kind).value.append(value)


def _kind_and_value(name: str, item: object) -> tuple[str, object]:
    if isinstance(item, bool):
        return "int64_list", int(item)
    if isinstance(item, int) and -(2**63) <= item < 2**63:
        return "int64_list", item
    if isinstance(item, int) and 0 < item < 2**64:
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    if isinstance(item, (int, float)):  # a whole number of more than 64 bits is a decimal one
        with np.errstate(over="ignore"):  # too large for a float is infinity
            return "float_list", float(np.float32(float(item)))
    if isinstance(item, str) or is_base64(item):
        return "bytes_list", to_bytes(item)
    raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(item)}")
