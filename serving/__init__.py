"""The model server and its clients.

Names are looked up when they are used: `from keras_attn.serving import connect` works where
TensorFlow is not installed.
"""

from __future__ import annotations

import importlib

from keras_attn.extras import require
from keras_attn.quiet import import_tensorflow

_HOMES = {
    "AsyncClient": "client.async_client",
    "Client": "client.client",
    "ServerError": "client.errors",
    "GrpcClient": "client.grpc_client",
    "RestClient": "client.rest_client",
    "connect": "client.connect",
    "Options": "server.options",
    "Server": "server.server",
    "StreamEvent": "client.stream",
}
_NEED_TENSORFLOW = {"Server"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Expected one of: {__all__}.")
    if name in _NEED_TENSORFLOW:
        require("tensorflow_serving")
        import_tensorflow()
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
