from __future__ import annotations

import socket

import pytest

from keras_attn.serving.sockets import PortInUse, bind_rest, check_grpc


def test_a_bound_port_refuses_connections_until_it_listens():
    with bind_rest(0) as listener:
        port = listener.getsockname()[1]
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio needs to see to send without delay
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        listener.listen()
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"cannot listen on port {port} .*--rest_api_port"):
            bind_rest(port)
        with pytest.raises(PortInUse, match=rf"cannot listen on port {port} .*--port"):
            check_grpc(port)
    check_grpc(port)
    check_grpc(0)
