"""Settings files in protobuf's text format, and the messages that the API package lacks."""

from __future__ import annotations

import logging
from functools import cache
from typing import TypeVar

from google.protobuf import message, text_format

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.file_system import read_text
from keras_attn.serving.protos.built_messages import build_messages

_log = logging.getLogger("keras_attn.serving")
_Message = TypeVar("_Message", bound=message.Message)

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


def read_text_proto(path: str, message_type: type[_Message], logs_errors: bool = True) -> _Message:
    """Reads a settings file.

    Args:
        path: file in text format.
        message_type: class of the message, see `message_type` for those that the API package lacks.
        logs_errors: log what cannot be parsed, as the stock server does; False where the caller tells of it,
            and reads again and again.

    Raises:
        ServingError: the file cannot be read, or does not hold such a message.
    """
    try:
        text = read_text(path)
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
        if logs_errors:
            _log.error("%s\nInvalid protobuf file: '%s'", parsing, path)  # where the stock server has it
        raise ServingError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}'. {parsing}") from error


def message_type(name: str) -> type[message.Message]:
    """Returns the class of a message that `tensorflow-serving-api` does not carry.

    Args:
        name: `SSLConfig`, `MonitoringConfig` or `BatchingParameters`.
    """
    return _messages()[name]


@cache
def _messages() -> dict[str, type[message.Message]]:
    return build_messages("tensorflow.serving", _LAYOUTS)
