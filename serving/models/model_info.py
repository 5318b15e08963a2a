"""Status and metadata of models as messages of TensorFlow Serving's API, and as its JSON."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.models.registry import ModelSpec
from keras_attn.serving.models.version_state import VersionStatus


def to_spec(message: model_pb2.ModelSpec) -> ModelSpec:
    """Reads a `ModelSpec` message."""
    version = message.version.value if message.HasField("version") else None
    return ModelSpec(message.name, version, message.version_label, message.signature_name)


def spec_message(spec: ModelSpec) -> model_pb2.ModelSpec:
    """Writes a `ModelSpec` message."""
    message = model_pb2.ModelSpec(name=spec.name, signature_name=spec.signature_name)
    if spec.version is not None:
        message.version.value = spec.version
    return message


def status_message(statuses: Iterable[VersionStatus]) -> get_model_status_pb2.GetModelStatusResponse:
    """Writes the answer to a status request."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version, state=int(status.state))
        entry.status.error_code = int(status.code)
        entry.status.error_message = status.message
    return response


def signature_map(servable: Servable) -> get_model_metadata_pb2.SignatureDefMap:
    """Writes a model's signatures. Default values of inputs are left out, as in the stock server."""
    result = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.signature_defs.items():
        result.signature_def[name].CopyFrom(definition)
        result.signature_def[name].defaults.clear()
    return result


def status_json(statuses: Iterable[VersionStatus]) -> str:
    """Writes the JSON body of a status reply."""
    return _to_json(status_message(statuses))


def metadata_json(servable: Servable) -> str:
    """Writes the JSON body of a metadata reply."""
    spec = spec_message(ModelSpec(servable.name, servable.version))
    return (
        f'{{\n"model_spec":{_to_json(spec)}\n,\n'
        f'"metadata": {{"signature_def": {_to_json(signature_map(servable))}\n}}\n}}\n'
    )


def _to_json(message: object) -> str:
    return json_format.MessageToJson(
        message,
        indent=1,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        ensure_ascii=False,
    )
