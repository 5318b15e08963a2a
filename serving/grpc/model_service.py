"""Reload of the model configuration over gRPC."""

from __future__ import annotations

import math

from tensorflow_serving.apis import model_management_pb2

from keras_attn.serving.errors import ServingError, invalid, shutting_down
from keras_attn.serving.models.manager import ModelManager
from keras_attn.serving.models.model_settings import settings_of
from keras_attn.serving.monitoring.metrics import Metrics


class ReloadService:
    """`HandleReloadConfigRequest` of `ModelService`.

    Args:
        manager: the models.
        metrics: where the metrics that a request asks for are kept.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics):
        self._manager = manager
        self._metrics = metrics

    def reload(
        self, request: model_management_pb2.ReloadConfigRequest, timeout_ms: int = 0
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the list of models and waits until every new one answers.

        Args:
            request: the new configuration, and names of metrics whose increase is to be reported.
            timeout_ms: limit of the waiting in milliseconds; 0 means none.

        Raises:
            ServingError: the configuration cannot be served, a new model did not load, or not in time.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest."
                " Only ModelConfigList is currently supported"
            )
        before = {name: self._metrics.total(name) for name in request.metric_names}
        timeout_s = timeout_ms / 1e3 if timeout_ms else math.inf
        try:
            if not self._manager.reload(settings_of(request.config), timeout_s=timeout_s):
                raise shutting_down()
        except ServingError as error:
            message = error.message.replace("servable(s)", "model(s)", 1)
            raise ServingError(error.code, message) from error
        response = model_management_pb2.ReloadConfigResponse()
        response.status.error_code = 0
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metrics.total(name) - value)
        return response
