"""TensorFlow Serving's gRPC services over a registry: messages in, messages out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from .errors import Code, ServingError, invalid
from .model_info import signature_map, spec_message, status_message, to_spec
from .predict import find_signature, run_predict
from .registry import ModelSpec, Registry
from .tensor_protos import from_proto, to_proto

_log = logging.getLogger("keras_attn.serving")
_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_MAX_ERROR_BYTES = 1024


class Services:
    """The methods of `PredictionService` and `ModelService`.

    Args:
        registry: the models.
    """

    def __init__(self, registry: Registry):
        self._registry = registry

    def predict(
        self, request: predict_pb2.PredictRequest, timeout_ms: int = 0
    ) -> predict_pb2.PredictResponse:
        """Runs a signature.

        Args:
            request: model, inputs and, optionally, the outputs wanted.
            timeout_ms: limit of the run in milliseconds; 0 means none.

        Raises:
            ServingError: what was wrong with the request, or what the model reported.
        """
        spec = _named_spec(request)
        with self._registry.use(spec) as servable:
            signature = find_signature(servable, spec.signature_name)
            inputs = {alias: from_proto(alias, proto) for alias, proto in request.inputs.items()}
            outputs = run_predict(servable, signature, inputs, request.output_filter, timeout_ms)
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec_message(spec.resolved(servable.version, signature.name)))
        for alias, array in outputs.items():
            response.outputs[alias].CopyFrom(to_proto(array))
        return response

    def get_model_metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, timeout_ms: int = 0
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Returns a model's signatures.

        Raises:
            ServingError: no field is asked for or an unknown one, or there is no such model.
        """
        spec = _named_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._registry.use(spec) as servable:
            response.model_spec.CopyFrom(spec_message(ModelSpec(servable.name, servable.version)))
            response.metadata["signature_def"].Pack(signature_map(servable))
        return response

    def get_model_status(
        self, request: get_model_status_pb2.GetModelStatusRequest, timeout_ms: int = 0
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Returns the states of a model's versions, newest first.

        Raises:
            ServingError: there is no such model or version.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        return status_message(self._registry.statuses(to_spec(request.model_spec)))

    def method_handlers(self) -> list[grpc.GenericRpcHandler]:
        """Returns what a `grpc.Server` needs; methods that are not listed answer UNIMPLEMENTED."""
        prediction = {
            "Predict": _unary(self.predict, predict_pb2.PredictRequest),
            "GetModelMetadata": _unary(
                self.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest
            ),
        }
        model = {"GetModelStatus": _unary(self.get_model_status, get_model_status_pb2.GetModelStatusRequest)}
        return [
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model),
        ]


def _named_spec(request: object) -> ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    message: model_pb2.ModelSpec = request.model_spec
    if not message.name:
        raise invalid("ModelSpec has no name specified.")
    return to_spec(message)


def _unary(method: Callable, request_type: type) -> grpc.RpcMethodHandler:
    """Wraps a method so that its deadline is passed on and its errors become gRPC statuses."""

    def call(request: object, context: grpc.ServicerContext) -> object:
        try:
            return method(request, _timeout_ms(context))
        except ServingError as error:
            failure = error
        except Exception as error:
            _log.exception("A gRPC request failed unexpectedly.")
            failure = ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
        context.abort(_STATUS[int(failure.code)], cut_message(failure.message))
        return None

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _timeout_ms(context: grpc.ServicerContext) -> int:
    remaining_s = context.time_remaining()
    # 0 would mean no limit: a deadline that has passed still gets a millisecond.
    return 0 if remaining_s is None else max(1, int(remaining_s * 1000))


def cut_message(message: str) -> str:
    """Shortens an error text to what the stock server puts into a status: 1024 bytes and a mark."""
    data = message.encode("utf-8", "replace")
    if len(data) <= _MAX_ERROR_BYTES:
        return data.decode()
    return data[:_MAX_ERROR_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"
