"""Sockets of the server, bound before a model is loaded so that a port in use is known at once."""

from __future__ import annotations

import contextlib
import socket

from keras_attn.errors import UserError


class PortInUse(UserError):
    """A port that cannot be had; the text says which and what to do."""


def bind_rest(port: int) -> socket.socket:
    """Binds a port on all addresses, IPv6 and IPv4 where the machine has both.

    The socket is not listening yet: connections are refused until `listen()` is called on it.

    Args:
        port: port number; 0 picks a free one.

    Raises:
        PortInUse: another process holds the port.
    """
    with contextlib.suppress(OSError):
        listener = _tcp_socket(socket.AF_INET6)
        try:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            return _bind(listener, "::", port)
        except OSError:
            listener.close()
            raise
    try:
        return _bind(_tcp_socket(socket.AF_INET), "0.0.0.0", port)
    except OSError as error:
        raise port_in_use("rest_api_port", port, error) from error


def check_grpc(port: int) -> None:
    """Makes sure that gRPC will get its port: gRPC itself only says that it failed.

    Args:
        port: port number; 0 means that any will do.

    Raises:
        PortInUse: another process holds the port.
    """
    if not port:
        return
    try:
        _bind(_tcp_socket(socket.AF_INET), "0.0.0.0", port).close()
    except OSError as error:
        raise port_in_use("port", port, error) from error


def port_in_use(flag: str, port: int, error: OSError | None = None) -> PortInUse:
    """Returns the error for a port that cannot be had.

    Args:
        flag: name of the flag that sets the port.
        port: port number.
        error: what the system said.
    """
    reason = f" ({error.strerror})" if error and error.strerror else ""
    return PortInUse(f"cannot listen on port {port}{reason}. Choose another one with --{flag}.")


def _tcp_socket(family: socket.AddressFamily) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, every reply
    # to a kept-alive connection would wait 40 ms for an acknowledgement.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _bind(listener: socket.socket, host: str, port: int) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
