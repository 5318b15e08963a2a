"""The client over gRPC; needs the `serve` extra."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.extras import naming_the_extra

with naming_the_extra():
    import grpc

    from keras_attn.serving.protos.generated_messages import generated

    classification_pb2, get_model_metadata_pb2, get_model_status_pb2, predict_pb2, regression_pb2 = (
        generated(f"tensorflow_serving.apis.{name}_pb2")
        for name in ("classification", "get_model_metadata", "get_model_status", "predict", "regression")
    )
    _SERVICES = [
        generated(f"tensorflow_serving.apis.{name}_pb2").DESCRIPTOR
        for name in ("prediction_service", "model_service")
    ]

from google.protobuf import json_format, message_factory

from keras_attn.serving.client.arrays import only_input, to_array, to_lists
from keras_attn.serving.client.client import Client, Target
from keras_attn.serving.client.errors import ServerError
from keras_attn.serving.client.json_values import check_rows
from keras_attn.serving.client.stream import StreamEvent
from keras_attn.serving.errors import LONGEST_PAUSE_S
from keras_attn.serving.grpc.retry_hints import seconds_to_wait
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE
from keras_attn.serving.json.examples import read_examples
from keras_attn.serving.protos.tensors import from_proto, to_proto


class GrpcClient(Client):
    """A `Client` over gRPC.

    Args:
        address: `host:8500`, or `unix:/path` of a socket on this machine.
        model_name: model to talk to.
        timeout_s: see `Client`.
        retries: see `Client`.

    Raises:
        ValueError: a number is out of range.

    Example:
        `GrpcClient("localhost:8500", "translate").predict({"text": ["hello"]})`
    """

    def __init__(
        self, address: str, model_name: str = "default", *, timeout_s: float = 60.0, retries: int = 2
    ):
        super().__init__(model_name, timeout_s, retries)
        self._definitions: dict[Target, Any] = {}
        self._channel = grpc.insecure_channel(address, options=_channel_options(retries))
        self._methods = _methods(self._channel)

    def predict_arrays(
        self,
        inputs: object,
        *,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
        output_filter: Sequence[str] = (),
    ) -> dict[str, np.ndarray]:
        """Runs the model as `predict` does, and returns the arrays as they were sent.

        Args:
            inputs: input name -> array, sent as it is, or nested lists, sent in the type that the model
                wants: the first such call asks the server for it. Or the value of the only input.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.
            label: version label, instead of a version.
            output_filter: outputs to compute; empty means all.

        Returns:
            Output name -> array, also of an only output. Strings are object arrays of bytes.

        Raises:
            TypeError: as for `predict`.
            ValueError: as for `predict`.
            ServerError: as for `predict`.
        """
        check_rows(inputs, "predict_arrays")
        return self._run(inputs, Target(signature_name, version, label), output_filter)

    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures; see `Client.metadata`."""
        message = json_format.MessageToDict(
            self._signatures(Target(version=version)),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        return message["signature_def"]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _predict(self, inputs: object, instances: list | None, target: Target) -> object:
        if instances is not None:
            raise TypeError("`instances` is a form of REST. Pass `inputs` over gRPC.")
        outputs = {name: to_lists(name, array) for name, array in self._run(inputs, target).items()}
        return outputs if len(outputs) != 1 else next(iter(outputs.values()))

    def _stream(self, inputs: object, instances: list | None, target: Target) -> Iterator[StreamEvent]:
        raise TypeError("Streams are a form of REST. Expected a client of http://host:port.")

    def _classify(self, document: dict, target: Target) -> list[list[tuple[str, float]]]:
        request = classification_pb2.ClassificationRequest(input=read_examples(document))
        result = self._call("Classify", request, target).result
        return [[(c.label, c.score) for c in entry.classes] for entry in result.classifications]

    def _regress(self, document: dict, target: Target) -> list[float]:
        request = regression_pb2.RegressionRequest(input=read_examples(document))
        return [entry.value for entry in self._call("Regress", request, target).result.regressions]

    def _status(self, version: int | None, retries: int) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest()
        response = self._call("GetModelStatus", request, Target(version=version), retries)
        return {entry.version: entry.State.Name(entry.state) for entry in response.model_version_status}

    def _run(
        self, inputs: object, target: Target, output_filter: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest(output_filter=list(output_filter))
        if not isinstance(inputs, Mapping):
            definition = self._definition(target)
            inputs = {only_input(definition): inputs} if definition else {}  # the server's error is clearer
        for name, value in inputs.items():
            if not hasattr(value, "dtype"):
                value = to_array(name, value, self._input_type(name, target))
            request.inputs[name].CopyFrom(to_proto(np.asarray(value)))
        response = self._call("Predict", request, target)
        return {name: from_proto(name, proto) for name, proto in response.outputs.items()}

    def _signatures(self, target: Target) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        packed = self._call("GetModelMetadata", request, target).metadata["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        packed.Unpack(signatures)
        return signatures

    def _definition(self, target: Target) -> Any:
        """A signature, for which the server is asked once; None if it does not have it."""
        if target not in self._definitions:
            name = target.signature_name or DEFAULT_SIGNATURE
            signatures = self._signatures(target._replace(signature_name="")).signature_def
            if name not in signatures:
                return None
            self._definitions[target] = signatures[name]
        return self._definitions[target]

    def _input_type(self, name: str, target: Target) -> int | None:
        definition = self._definition(target)
        return definition.inputs[name].dtype if definition and name in definition.inputs else None

    def _call(self, method: str, request: Any, target: Target, retries: int | None = None) -> Any:
        _fill_spec(request.model_spec, self.model_name, target)
        left = self._retries if retries is None else retries
        while True:
            try:
                return self._methods[method](request, timeout=self._timeout_s)
            except grpc.RpcError as error:
                # gRPC itself tries UNAVAILABLE again. RESOURCE_EXHAUSTED may also be a message that is too
                # long, for ever: the server says when another attempt makes sense.
                is_busy = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                wait_s = seconds_to_wait(error) if is_busy and left else None
                if wait_s is None:
                    raise ServerError(error.code().name, error.details()) from error
            time.sleep(min(wait_s, LONGEST_PAUSE_S))
            left -= 1


def _fill_spec(spec: Any, model_name: str, target: Target) -> None:
    spec.name, spec.signature_name = model_name, target.signature_name
    if target.label:
        spec.version_label = target.label
    elif target.version is not None:
        spec.version.value = target.version


def _methods(channel: grpc.Channel) -> dict[str, grpc.UnaryUnaryMultiCallable]:
    """The methods of both services by name, without their stubs, whose modules import TensorFlow."""
    return {
        name: channel.unary_unary(
            f"/{service.full_name}/{name}",
            request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        for file in _SERVICES
        for service in file.services_by_name.values()
        for name, method in service.methods_by_name.items()
    }


def _channel_options(retries: int) -> list[tuple[str, object]]:
    """No limits on message sizes, and gRPC's own retries where the server is not reached or busy."""
    policy = {
        "maxAttempts": min(retries + 1, 5),  # gRPC knows no more
        "initialBackoff": "0.1s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # Every call between two attempts to connect fails at once, and gRPC lets the pause grow to 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 100),
    ]
    if not retries:
        return [*options, ("grpc.enable_retries", 0)]
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    return [*options, ("grpc.service_config", config)]
