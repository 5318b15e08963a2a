"""The gRPC services on a port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc

from .grpc_services import Services
from .listening import port_in_use

_INT32_MAX = 2**31 - 1


class GrpcServer:
    """Serves TensorFlow Serving's gRPC services.

    Args:
        services: the methods.
        port: port number on all addresses; 0 picks a free one.
        max_threads: calls that may run at once.

    Raises:
        PortInUse: the port cannot be had.
    """

    def __init__(self, services: Services, port: int, max_threads: int):
        self._executor = ThreadPoolExecutor(max_threads, thread_name_prefix="grpc")
        options = [
            ("grpc.max_receive_message_length", _INT32_MAX),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # or a second server would silently share the port
        ]
        self._server = grpc.server(self._executor, services.method_handlers(), options=options)
        try:
            self.port = self._server.add_insecure_port(f"0.0.0.0:{port}")
        except RuntimeError as error:
            raise port_in_use("port", port) from error

    def start(self) -> None:
        """Starts to answer."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Stops taking calls and waits for running ones.

        Args:
            grace_s: seconds after which running calls are aborted.
        """
        self._server.stop(grace_s).wait(grace_s + 1.0)
        self._executor.shutdown(wait=False, cancel_futures=True)
