"""Settings files in protobuf's text format, and the messages that the API package lacks."""

from __future__ import annotations

import logging
from functools import cache
from typing import TypeVar

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
    text_format,
    wrappers_pb2,
)

from .errors import Code, ServingError

_log = logging.getLogger("keras_attn.serving")
_Message = TypeVar("_Message", bound=message.Message)
_WRAPPERS = wrappers_pb2.DESCRIPTOR.name
_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {"string": _FIELD.TYPE_STRING, "bool": _FIELD.TYPE_BOOL, "int64": _FIELD.TYPE_INT64}

# message -> field -> number and type: ssl_config, monitoring_config and session_bundle_config.proto.
_LAYOUTS = {
    "SSLConfig": {
        "server_key": (1, "string"),
        "server_cert": (2, "string"),
        "custom_ca": (3, "string"),
        "client_verify": (4, "bool"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".tensorflow.serving.PrometheusConfig")},
    "BatchingParameters": {
        "max_batch_size": (1, ".google.protobuf.Int64Value"),
        "batch_timeout_micros": (2, ".google.protobuf.Int64Value"),
        "max_enqueued_batches": (3, ".google.protobuf.Int64Value"),
        "num_batch_threads": (4, ".google.protobuf.Int64Value"),
        "thread_pool_name": (5, ".google.protobuf.StringValue"),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, ".google.protobuf.BoolValue"),
        "max_execution_batch_size": (9, ".google.protobuf.Int64Value"),
    },
}


def read_text_proto(path: str, message_type: type[_Message]) -> _Message:
    """Reads a settings file.

    Args:
        path: file in text format.
        message_type: class of the message, see `message_type` for those that the API package lacks.

    Raises:
        ServingError: the file cannot be read, or does not hold such a message.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.PERMISSION_DENIED
        raise ServingError(code, f"{path}; {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}' is no UTF-8") from error
    try:
        return text_format.Parse(text, message_type())
    except text_format.ParseError as error:
        name = message_type.DESCRIPTOR.full_name
        reason = str(error).replace(" : ", ": ", 1)
        parsing = f"Error parsing text-format {name}: {reason}"
        _log.error("%s\nInvalid protobuf file: '%s'", parsing, path)  # where the stock server has it
        raise ServingError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}'. {parsing}") from error


@cache
def message_type(name: str) -> type[message.Message]:
    """Returns the class of a message that `tensorflow-serving-api` does not carry.

    Args:
        name: `SSLConfig`, `MonitoringConfig` or `BatchingParameters`.
    """
    pool = _pool()
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    """Builds the messages in a pool of their own, beside whatever other packages register."""
    file = descriptor_pb2.FileDescriptorProto(
        name="server_settings.proto", package="tensorflow.serving", syntax="proto3", dependency=[_WRAPPERS]
    )
    for name, fields in _LAYOUTS.items():
        entry = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(entry, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add_field(entry: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    label = _FIELD.LABEL_REPEATED if kind.startswith("repeated ") else _FIELD.LABEL_OPTIONAL
    field = entry.field.add(name=name, number=number, label=label)
    kind = kind.removeprefix("repeated ")
    if kind in _KINDS:
        field.type = _KINDS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, kind
