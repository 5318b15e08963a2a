"""What a gRPC server offers beside the models: its list of services, and whether it is healthy."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import grpc

_log = logging.getLogger("keras_attn.serving")
# The stock server reports under these names, not under the full names of the services.
_HEALTH_NAMES = ("", "ModelService", "PredictionService")


def add_reflection(server: grpc.Server, service_names: Sequence[str]) -> bool:
    """Lets clients ask which services there are.

    Args:
        server: the server, not started yet.
        service_names: full names of its services.

    Returns:
        False if the package for it is not installed, which is logged.
    """
    try:
        from grpc_reflection.v1alpha import reflection
    except ModuleNotFoundError:
        _log.warning("gRPC reflection is off. To have it: pip install grpcio-reflection")
        return False
    reflection.enable_server_reflection((*service_names, reflection.SERVICE_NAME), server)
    return True


class Health:
    """`grpc.health.v1.Health`: SERVING until the server is told to stop.

    Args:
        server: the server, not started yet.

    Raises:
        ModuleNotFoundError: the package for it is not installed.
    """

    def __init__(self, server: grpc.Server):
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        self._servicer = health.HealthServicer()
        for name in _HEALTH_NAMES:
            self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def stop(self) -> None:
        """Reports NOT_SERVING from now on, so that balancers send no more calls."""
        self._servicer.enter_graceful_shutdown()
