"""A whole server inside this process: models, polling, gRPC and REST."""

from __future__ import annotations

import threading
import time

from keras_attn.serving.grpc.model_service import ReloadService
from keras_attn.serving.grpc.server import GrpcServer
from keras_attn.serving.grpc.services import Services
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.rest.handler import RestHandler
from keras_attn.serving.rest.operator_pages import SidePages, metrics_path
from keras_attn.serving.rest.server import RestServer
from keras_attn.serving.server.assembly import (
    access_log_of,
    batching_of,
    first_models,
    grpc_settings,
    model_manager,
    rest_settings,
)
from keras_attn.serving.server.config_file import ConfigFilePoller
from keras_attn.serving.server.options import Options
from keras_attn.serving.sockets import bind_rest, check_grpc, port_in_use


class Server:
    """Loads models and serves them until it is stopped; also a context manager.

    In-process use leaves XLA as it is; the command-line server switches it off for its process.

    Args:
        options: settings; here, port 0 picks a free gRPC port.
        rest: False switches REST off; True with `rest_api_port` 0 picks a free port.
        registry: models to serve as they are; None means those that the options name, kept up to date.
        grace_s: seconds that running requests get when the server stops; None means what the options say.

    Raises:
        PortInUse: a port cannot be had.
        ServingError: a settings file cannot be used.
    """

    def __init__(
        self,
        options: Options,
        rest: bool = True,
        registry: Registry | None = None,
        grace_s: float | None = None,
    ):
        self._options = options
        self._grace_s = options.grace_period_seconds if grace_s is None else grace_s
        self.metrics = Metrics()
        self._grpc_settings = grpc_settings(options)
        self._metrics_path = metrics_path(options.monitoring_config_file)
        self._access_log = access_log_of(options)
        self._is_stopping = False
        self._batching = batching_of(options, self.metrics)
        self._manager = None
        if registry is None:
            self._manager = model_manager(options, self.metrics, self._batching)
        self._models = first_models(options) if registry is None else []
        self.registry = self._manager.registry if registry is None else registry
        check_grpc(options.port)
        self._listener = bind_rest(options.rest_api_port) if rest else None
        self._config_poller: ConfigFilePoller | None = None
        self._grpc: GrpcServer | None = None
        self._rest: RestServer | None = None

    @property
    def grpc_port(self) -> int:
        """Port of the gRPC services, once started."""
        return self._grpc.port

    @property
    def grpc_addresses(self) -> list[str]:
        """Addresses of the gRPC services, once started."""
        return self._grpc.addresses

    @property
    def rest_port(self) -> int | None:
        """Port of the REST API, once started; None without REST."""
        return self._rest.port if self._rest else None

    def start(self, stop: threading.Event | None = None) -> bool:
        """Waits until every model has a version that answers, then opens the ports.

        Args:
            stop: set it to give up waiting.

        Returns:
            False if `stop` was set before.

        Raises:
            ServingError: a model could not be loaded.
            PortInUse: a port was taken meanwhile.
        """
        options = self._options
        if self._manager and not self._manager.reload(self._models, stop):
            return False
        self._grpc = GrpcServer(self._methods(), self._grpc_settings, self._access_log, self.metrics)
        if self._listener:
            self._open_rest()
        self._grpc.start()
        if self._manager and options.model_config_file:
            wait_seconds = options.model_config_file_poll_wait_seconds
            self._config_poller = ConfigFilePoller(options.model_config_file, self._manager, wait_seconds)
            self._config_poller.start()
        return True

    def stop(self) -> bool:
        """Takes no more requests, lets running ones finish, and unloads the models.

        Returns:
            False if some were still running when the grace period ended.
        """
        self._is_stopping = True
        deadline = time.monotonic() + self._grace_s
        closers = []
        for part in (self._config_poller, self._manager, self._grpc):
            if part:
                closers.append(threading.Thread(target=part.stop, args=(self._grace_s,)))
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
        if self._batching:
            self._batching.stop()
        self._access_log.close()
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

    def _methods(self) -> dict:
        methods = Services(self.registry, self.metrics).methods()
        if self._manager:
            methods["HandleReloadConfigRequest"] = ReloadService(self._manager, self.metrics).reload
        return methods

    def _open_rest(self) -> None:
        options = self._options
        try:
            self._listener.listen(1024)
        except OSError as error:
            raise port_in_use("rest_api_port", options.rest_api_port, error) from error
        handler = RestHandler(
            self.registry, options.rest_api_timeout_in_ms, self.metrics, options.rest_api_enable_cors_support
        )
        pages = SidePages(self.metrics, self._metrics_path, self._not_ready)
        settings = rest_settings(options, self._grace_s)
        self._rest = RestServer(handler, self._listener, pages, settings, self.metrics, self._access_log)
        self._rest.start()

    def _not_ready(self) -> list[str]:
        if self._is_stopping:
            return ["the server is being stopped"]
        names = self._manager.model_names if self._manager else [m.name for m in self.registry.models]
        models = {name: self.registry.find(name) for name in names}  # None: it is on the list, and comes next
        return [name for name, model in models.items() if model is None or not model.is_available()]
