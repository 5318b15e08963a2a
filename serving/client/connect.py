"""The client for a URL."""

from __future__ import annotations

from keras_attn.serving.client.client import Client

_GRPC, _UNIX = "grpc://", "unix:"
_REST = ("http://", "https://")


def connect(url: str, model_name: str = "default", *, timeout_s: float = 60.0, retries: int = 2) -> Client:
    """Returns a client of one model of a server.

    Args:
        url: `http://host:8501`, `https://host` or `host:8501` for REST, also with the model:
            `http://host:8501/v1/models/name`; `grpc://host:8500` or, on this machine, `unix:/path` of the
            server's `--grpc_socket_path` for gRPC.
        model_name: model to talk to if the URL does not name one.
        timeout_s: seconds to wait for an answer, above 0.
        retries: further attempts if the server cannot be reached or is busy, 0 or more.

    Returns:
        `RestClient` or `GrpcClient`; no connection is made before the first call.

    Raises:
        ValueError: `url` is not a server's address, or a number is out of range.
        ModuleNotFoundError: the packages of this transport are not installed.

    Example:
        `connect("http://localhost:8501", "translate").predict({"text": ["hello"]})`
    """
    is_grpc = url.startswith((_GRPC, _UNIX))
    address = url.removeprefix(_GRPC) if is_grpc else url if "://" in url else f"http://{url}"
    if not address or not (is_grpc or address.startswith(_REST)):
        raise ValueError(
            "`url` is not a server's address. Expected http://host:port, grpc://host:port or unix:/path."
            f" Received: {url!r}"
        )
    if is_grpc:
        from keras_attn.serving.client.grpc_client import GrpcClient

        return GrpcClient(address, model_name, timeout_s=timeout_s, retries=retries)
    from keras_attn.serving.client.rest_client import RestClient

    return RestClient(address, model_name, timeout_s=timeout_s, retries=retries)
