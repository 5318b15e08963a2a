"""TensorFlow Serving's gRPC services over a registry: messages in, messages out."""

from __future__ import annotations

import time
from collections.abc import Callable

from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference import messages
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.models.model_info import signature_map, spec_message, status_message, to_spec
from keras_attn.serving.models.registry import ModelSpec, Registry
from keras_attn.serving.monitoring.metrics import Metrics


class Services:
    """The methods of `PredictionService`, and `GetModelStatus` of `ModelService`.

    Each takes a request and a limit in milliseconds, 0 for none, and raises `ServingError` for what is
    wrong with the request or what the model reported.

    Args:
        registry: the models.
        metrics: where requests are counted.
    """

    def __init__(self, registry: Registry, metrics: Metrics | None = None):
        self._registry = registry
        self._metrics = metrics or Metrics()

    def methods(self) -> dict[str, Callable[[object, int], object]]:
        """Returns the methods under their names in the services."""
        return {
            "Predict": self.predict,
            "Classify": self.classify,
            "Regress": self.regress,
            "MultiInference": self.multi_inference,
            "GetModelMetadata": self.get_model_metadata,
            "GetModelStatus": self.get_model_status,
        }

    def predict(
        self, request: predict_pb2.PredictRequest, timeout_ms: int = 0
    ) -> predict_pb2.PredictResponse:
        """Runs a signature on tensors."""
        return self._run("Predict", messages.predict, request, timeout_ms)

    def classify(
        self, request: classification_pb2.ClassificationRequest, timeout_ms: int = 0
    ) -> classification_pb2.ClassificationResponse:
        """Classifies examples."""
        return self._run("Classify", messages.classify, request, timeout_ms)

    def regress(
        self, request: regression_pb2.RegressionRequest, timeout_ms: int = 0
    ) -> regression_pb2.RegressionResponse:
        """Computes one number for each example."""
        return self._run("Regress", messages.regress, request, timeout_ms)

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, timeout_ms: int = 0
    ) -> inference_pb2.MultiInferenceResponse:
        """Runs several signatures over the same examples; the first task says which model."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self._registry.use(_checked_name(spec)) as servable:
            return messages.multi_inference(servable, request, timeout_ms)

    def get_model_metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, timeout_ms: int = 0
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns a model's signatures."""
        _check_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._registry.use(_checked_name(request.model_spec)) as servable:
            response.model_spec.CopyFrom(spec_message(ModelSpec(servable.name, servable.version)))
            response.metadata["signature_def"].Pack(signature_map(servable))
        return response

    def get_model_status(
        self, request: get_model_status_pb2.GetModelStatusRequest, timeout_ms: int = 0
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the states of a model's versions, newest first."""
        _check_spec(request)
        return status_message(self._registry.statuses(to_spec(request.model_spec)))

    def _run(
        self, api: str, run: Callable[[Servable, object, int], object], request: object, timeout_ms: int
    ) -> object:
        begin, status = time.perf_counter(), Code.INTERNAL
        name = request.model_spec.name
        try:
            with self._registry.use(_named_spec(request)) as servable:
                response = run(servable, request, timeout_ms)
            status = Code.OK
            return response
        except ServingError as error:
            status = error.code
            raise
        finally:
            self._metrics.count_request(name, status.name, api, "GRPC", begin)


def _check_spec(request: object) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _named_spec(request: object) -> ModelSpec:
    _check_spec(request)
    return _checked_name(request.model_spec)


def _checked_name(message: model_pb2.ModelSpec) -> ModelSpec:
    if not message.name:
        raise invalid("ModelSpec has no name specified.")
    return to_spec(message)
