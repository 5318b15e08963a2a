"""A whole server inside this process: models, polling, gRPC and REST."""

from __future__ import annotations

import threading
import time

from .grpc_server import GrpcServer
from .grpc_services import Services
from .listening import bind_rest, check_grpc, port_in_use
from .options import Options
from .poller import Poller
from .registry import Registry
from .rest_handler import RestHandler
from .rest_server import RestServer
from .servable import SessionSettings, saved_model_loader
from .served_model import ServedModel


def registry_of(options: Options) -> Registry:
    """Returns the registry of the one model that the options name; nothing is loaded yet."""
    settings = SessionSettings(
        options.tensorflow_intra_op_parallelism or 1, options.tensorflow_inter_op_parallelism
    )
    load = saved_model_loader(settings)
    return Registry([ServedModel(options.model_name, options.model_base_path, load)])


class Server:
    """Loads a model and serves it until it is stopped; also a context manager.

    In-process use leaves XLA as it is; the command-line server switches it off for its process.

    Args:
        options: settings; here, port 0 picks a free gRPC port.
        rest: False switches REST off; True with `rest_api_port` 0 picks a free port.
        registry: models to serve; None means the one model that the options name.
        grace_s: seconds that running requests get when the server stops.

    Raises:
        PortInUse: a port cannot be had.
    """

    def __init__(
        self, options: Options, rest: bool = True, registry: Registry | None = None, grace_s: float = 5.0
    ):
        self._options = options
        self._grace_s = grace_s
        check_grpc(options.port)
        self._listener = bind_rest(options.rest_api_port) if rest else None
        self.registry = registry or registry_of(options)
        self._poller = Poller(self.registry, options.file_system_poll_wait_seconds)
        self._grpc: GrpcServer | None = None
        self._rest: RestServer | None = None

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC services, once started."""
        return self._grpc.port

    @property
    def rest_port(self) -> int | None:
        """Port of the REST API, once started; None without REST."""
        return self._rest.port if self._rest else None

    def start(self, stop: threading.Event | None = None) -> bool:
        """Waits for a version that answers, then opens the ports.

        Args:
            stop: set it to give up waiting.

        Returns:
            False if `stop` was set before.

        Raises:
            ServingError: the model could not be loaded.
            PortInUse: a port was taken meanwhile.
        """
        if not self._poller.wait_until_available(stop):
            return False
        self._grpc = GrpcServer(Services(self.registry), self._options.port, self._options.grpc_max_threads)
        if self._listener:
            self._open_rest()
        self._grpc.start()
        self._poller.start()
        return True

    def stop(self) -> bool:
        """Takes no more requests, lets running ones finish, and unloads the models.

        Returns:
            False if some were still running when the grace period ended.
        """
        deadline = time.monotonic() + self._grace_s
        closers = [threading.Thread(target=self._poller.stop, args=(self._grace_s,))]
        if self._grpc:
            closers.append(threading.Thread(target=self._grpc.stop, args=(self._grace_s,)))
        if self._rest:
            closers.append(threading.Thread(target=self._rest.stop))
        elif self._listener:
            self._listener.close()
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join()
        left_s = max(0.0, deadline - time.monotonic())
        idle = [model.close(left_s) for model in self.registry.models]
        return all(idle)

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _open_rest(self) -> None:
        options = self._options
        try:
            self._listener.listen(1024)
        except OSError as error:
            raise port_in_use("rest_api_port", options.rest_api_port, error) from error
        handler = RestHandler(self.registry, options.rest_api_timeout_in_ms)
        self._rest = RestServer(handler, self._listener, options.rest_api_num_threads, self._grace_s)
        self._rest.start()
