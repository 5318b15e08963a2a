"""TLS for gRPC: the settings file `SSLConfig` with keys and certificates as PEM text."""

from __future__ import annotations

import grpc

from keras_attn.serving.errors import invalid
from keras_attn.serving.protos.text_format import message_type, read_text_proto


def server_credentials(path: str) -> grpc.ServerCredentials:
    """Reads a settings file.

    Args:
        path: text proto `SSLConfig`: `server_key`, `server_cert`, `custom_ca` and `client_verify`.

    Raises:
        ServingError: the file cannot be used.
    """
    config = read_text_proto(path, message_type("SSLConfig"))
    for name in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(config, name):
            raise invalid(f"{name} of {path} is no PEM text. Expected -----BEGIN ... in the file itself.")
    if config.client_verify and not config.custom_ca:
        raise invalid(
            f"client_verify of {path} needs custom_ca. Expected the PEM text of the certificates that sign"
            " those of clients."
        )
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
