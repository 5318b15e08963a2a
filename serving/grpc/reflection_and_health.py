"""Reflection and health checks of the gRPC server."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

_log = logging.getLogger("keras_attn.serving")
# The stock server reports under these names, not under the full names of the services.
_HEALTH_NAMES = ("", "ModelService", "PredictionService")


def add_reflection(server: grpc.Server, files: Sequence[FileDescriptor]) -> bool:
    """Lets clients ask which services there are, and what their messages look like.

    Args:
        server: the server, not started yet.
        files: descriptions of its services; this one's own is added to them.

    Returns:
        False if the package for it is not installed, which is logged.
    """
    try:
        from grpc_reflection.v1alpha import reflection, reflection_pb2
    except ModuleNotFoundError:
        _log.warning("gRPC reflection is off. To have it: pip install grpcio-reflection")
        return False
    files = (*files, reflection_pb2.DESCRIPTOR)
    names = [service.full_name for file in files for service in file.services_by_name.values()]
    reflection.enable_server_reflection(names, server, _pool_of(files))
    return True


def _pool_of(files: Sequence[FileDescriptor]) -> DescriptorPool:
    """Returns a pool with files that come from several, and with what they depend on."""
    pool, todo = DescriptorPool(), list(files)
    added: set[str] = set()
    while todo:
        missing = [needed for needed in todo[-1].dependencies if needed.name not in added]
        if missing:
            todo += missing
            continue
        file = todo.pop()
        if file.name not in added:
            pool.AddSerializedFile(file.serialized_pb)
            added.add(file.name)
    return pool


class Health:
    """`grpc.health.v1.Health`: SERVING until the server is told to stop.

    Args:
        server: the server, not started yet.

    Raises:
        ModuleNotFoundError: the package for it is not installed.
    """

    def __init__(self, server: grpc.Server):
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        self.file: FileDescriptor = health_pb2.DESCRIPTOR
        self._servicer = health.HealthServicer()
        for name in _HEALTH_NAMES:
            self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def stop(self) -> None:
        """Reports NOT_SERVING from now on, so that balancers send no more calls."""
        self._servicer.enter_graceful_shutdown()
