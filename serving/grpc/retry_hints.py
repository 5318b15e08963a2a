"""Hints of when to try a refused gRPC call again, as REST gives in Retry-After."""

from __future__ import annotations

from functools import cache

import grpc
from google.protobuf import message

from keras_attn.serving.errors import BUSY, RETRY_AFTER_S
from keras_attn.serving.protos.built_messages import build_messages

_NAME, _PUSHBACK, _DETAILS = "retry-after", "grpc-retry-pushback-ms", "grpc-status-details-bin"
# google/rpc/status.proto and google/rpc/error_details.proto.
_LAYOUTS = {
    "Status": {
        "code": (1, "int32"),
        "message": (2, "string"),
        "details": (3, "repeated .google.protobuf.Any"),
    },
    "RetryInfo": {"retry_delay": (1, ".google.protobuf.Duration")},
}


def retry_metadata(code: grpc.StatusCode, text: str) -> tuple[tuple[str, str | bytes], ...]:
    """Returns trailing metadata that say when to come back; nothing where that would not help.

    Args:
        code: status of the call.
        text: its message.

    Returns:
        `retry-after` in seconds; `grpc-retry-pushback-ms`, which gRPC's own retries go by; and
        `google.rpc.RetryInfo` inside the `google.rpc.Status` of `grpc-status-details-bin`.
    """
    if code.name not in {busy.name for busy in BUSY}:
        return ()
    status = _messages()["Status"](code=code.value[0], message=text)
    info = _messages()["RetryInfo"]()
    info.retry_delay.seconds = RETRY_AFTER_S
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString())
    return (
        (_NAME, str(RETRY_AFTER_S)),
        (_PUSHBACK, str(RETRY_AFTER_S * 1000)),
        (_DETAILS, status.SerializeToString()),
    )


def seconds_to_wait(error: grpc.RpcError) -> float | None:
    """Returns the seconds after which a refused call may be tried again; None if the server named none."""
    for name, value in error.trailing_metadata() or ():
        if name == _NAME and isinstance(value, str) and value.isascii() and value.isdigit():
            return float(value)
    return None


@cache
def _messages() -> dict[str, type[message.Message]]:
    return build_messages("google.rpc", _LAYOUTS)
