"""The gRPC services on a port and, on request, on a unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from keras_attn.serving.grpc.admission import Admission, CountingExecutor
from keras_attn.serving.grpc.methods import SERVICE_FILES, Method, method_handlers
from keras_attn.serving.grpc.profiler_service import profiler_file, profiler_handler
from keras_attn.serving.grpc.reflection_and_health import Health, add_reflection
from keras_attn.serving.monitoring.access_log import AccessLog
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.sockets import PortInUse, port_in_use

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class GrpcSettings:
    """Settings of the gRPC server.

    Args:
        port: port number on all addresses; 0 picks a free one.
        max_threads: calls that may run at once.
        socket_path: unix socket to serve on as well; empty means none.
        credentials: TLS; None means plain text.
        channel_arguments: settings of the gRPC library, `a=1,b=text`.
        health: serve `grpc.health.v1.Health`.
        profiler: serve `tensorflow.ProfilerService`.
        max_message_bytes: longest request; 0 means what gRPC can carry.
        max_waiting: calls that may wait for a thread; further ones are refused. None means any number.
    """

    port: int = 0
    max_threads: int = 8
    socket_path: str = ""
    credentials: grpc.ServerCredentials | None = None
    channel_arguments: str = ""
    health: bool = False
    profiler: bool = False
    max_message_bytes: int = 0
    max_waiting: int | None = None


class GrpcServer:
    """Serves TensorFlow Serving's gRPC services.

    Args:
        methods: name -> method, see `method_handlers`.
        settings: where and how.
        access_log: where calls are written.
        metrics: where running and refused calls are counted.

    Raises:
        PortInUse: the port or the socket cannot be had.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        settings: GrpcSettings,
        access_log: AccessLog | None = None,
        metrics: Metrics | None = None,
    ):
        self._settings = settings
        metrics = metrics or Metrics()
        self._executor = CountingExecutor(settings.max_threads, metrics)
        handlers, interceptors = method_handlers(methods, access_log), []
        files = list(SERVICE_FILES)
        if settings.profiler:
            handlers.append(profiler_handler(access_log))
            files.append(profiler_file())
        if settings.max_waiting is not None:
            most = settings.max_waiting + settings.max_threads
            interceptors.append(Admission(self._executor, most, metrics))
        self._server = grpc.server(
            self._executor,
            handlers,
            interceptors=interceptors,
            options=_library_options(settings),
        )
        self._health = Health(self._server) if settings.health else None
        if self._health:
            files.append(self._health.file)
        add_reflection(self._server, files)
        self.port = self._open()

    @property
    def addresses(self) -> list[str]:
        """The addresses of the services."""
        socket_path = self._settings.socket_path
        return [f"0.0.0.0:{self.port}", *([f"unix:{socket_path}"] if socket_path else [])]

    def start(self) -> None:
        """Starts to answer."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Stops taking calls and waits for running ones.

        Args:
            grace_s: seconds after which running calls are aborted.
        """
        if self._health:
            self._health.stop()
        self._server.stop(grace_s).wait(grace_s + 1.0)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> int:
        settings = self._settings
        try:
            port = self._add(f"0.0.0.0:{settings.port}")
        except RuntimeError as error:
            raise port_in_use("port", settings.port) from error
        if settings.socket_path:
            try:
                self._add(f"unix:{settings.socket_path}")
            except RuntimeError as error:
                raise PortInUse(
                    f"cannot listen on the socket {settings.socket_path}."
                    " Choose another path with --grpc_socket_path."
                ) from error
        return port

    def _add(self, address: str) -> int:
        if self._settings.credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._settings.credentials)


def _library_options(settings: GrpcSettings) -> list[tuple[str, int | str]]:
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": settings.max_message_bytes or _INT32_MAX,
        "grpc.max_send_message_length": -1,
        "grpc.so_reuseport": 0,  # or a second server would silently share the port
    }
    options.update(parse_channel_arguments(settings.channel_arguments))
    return list(options.items())


def parse_channel_arguments(text: str) -> dict[str, int | str]:
    """Reads settings of the gRPC library: `a=1,b=text`; what looks like a whole number is one."""
    arguments: dict[str, int | str] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            arguments[name] = int(value)
        except ValueError:
            arguments[name] = value
    return arguments
