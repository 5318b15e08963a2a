"""gRPC client of a model server; needs the `serve` extra."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

import numpy as np

try:
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
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"GrpcClient needs the package of the module {error.name!r}."
        " Install it with: pip install 'keras-attn[serve]'",
        name=error.name,
    ) from error

from google.protobuf import json_format, message_factory

from keras_attn.serving.client.arrays import only_input, to_array
from keras_attn.serving.client.errors import ServerError
from keras_attn.serving.client.json_values import check_rows, to_json
from keras_attn.serving.grpc.retry_hints import seconds_to_wait
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE, meta_graph_pb2
from keras_attn.serving.json.examples import read_examples
from keras_attn.serving.protos.tensors import from_proto, to_proto

_LONGEST_PAUSE_S = 5.0


class GrpcClient:
    """Talks to one model of a server over gRPC; also a context manager.

    Args:
        address: `host:8500`.
        model_name: model to talk to.
        timeout_s: seconds to wait for an answer.
        retries: further attempts where the server cannot be reached or says that it is busy.

    Example:
        `GrpcClient("localhost:8500", "translate").predict({"text": ["hello"]})`
    """

    def __init__(self, address: str, model_name: str = "default", timeout_s: float = 60.0, retries: int = 2):
        self.model_name = model_name
        self._timeout_s = timeout_s
        self._retries = retries
        self._definitions: dict[tuple[str, int | None, str], meta_graph_pb2.SignatureDef] = {}
        self._channel = grpc.insecure_channel(address, options=_channel_options(retries))
        self._methods = _methods(self._channel)

    def predict(
        self,
        inputs: object,
        *,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
        output_filter: Sequence[str] = (),
    ) -> object:
        """Runs the model.

        Args:
            inputs: input name -> array, sent as it is, or nested lists, sent in the type that the model
                wants: the first such call asks the server for it. Or the value of the only input.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.
            label: version label, instead of a version.
            output_filter: outputs to compute; empty means all.

        Returns:
            The array of the only output, or output name -> array. Strings are object arrays of bytes.

        Raises:
            TypeError: values of another kind than the model takes, or without a name where it needs one.
            ValueError: a number is out of the range of the model's type.
            ServerError: the server refused or cannot be reached.
        """
        check_rows(inputs)
        request = predict_pb2.PredictRequest(output_filter=list(output_filter))
        self._address_to(request.model_spec, version, label)
        request.model_spec.signature_name = signature_name
        where = (signature_name or DEFAULT_SIGNATURE, version, label)
        if not isinstance(inputs, Mapping):
            definition = self._definition(*where)
            inputs = {only_input(definition): inputs} if definition else {}  # the server says what is wrong
        for name, value in inputs.items():
            if not hasattr(value, "dtype"):
                value = to_array(name, value, self._input_type(name, *where))
            request.inputs[name].CopyFrom(to_proto(np.asarray(value)))
        response = self._call("Predict", request)
        outputs = {name: from_proto(name, proto) for name, proto in response.outputs.items()}
        return outputs if len(outputs) != 1 else next(iter(outputs.values()))

    def classify(
        self,
        examples: Sequence[Mapping[str, object]],
        context: Mapping[str, object] | None = None,
        *,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> list[list[tuple[str, float]]]:
        """Classifies examples; arguments as those of `Client.classify`.

        Returns:
            label and score of each class, for each example.

        Raises:
            ServerError: the server refused or cannot be reached.
        """
        request = classification_pb2.ClassificationRequest()
        self._fill(request, examples, context, signature_name, version, label)
        result = self._call("Classify", request).result
        return [[(c.label, c.score) for c in entry.classes] for entry in result.classifications]

    def regress(
        self,
        examples: Sequence[Mapping[str, object]],
        context: Mapping[str, object] | None = None,
        *,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> list[float]:
        """Returns one number for each example; arguments and errors as those of `classify`."""
        request = regression_pb2.RegressionRequest()
        self._fill(request, examples, context, signature_name, version, label)
        return [entry.value for entry in self._call("Regress", request).result.regressions]

    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures: name -> `inputs`, `outputs` and `method_name`.

        Raises:
            ServerError: there is no such model or version, or the server cannot be reached.
        """
        message = json_format.MessageToDict(
            self._signatures(version),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        return message["signature_def"]

    def status(self, version: int | None = None) -> dict[int, str]:
        """Returns the state of each version: `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ServerError: there is no such model or version, or the server cannot be reached.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        self._address_to(request.model_spec, version)
        response = self._call("GetModelStatus", request)
        return {entry.version: entry.State.Name(entry.state) for entry in response.model_version_status}

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> GrpcClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _address_to(self, spec: object, version: int | None, label: str = "") -> None:
        spec.name = self.model_name
        if label:
            spec.version_label = label
        elif version is not None:
            spec.version.value = version

    def _fill(
        self,
        request: object,
        examples: Sequence[Mapping[str, object]],
        context: Mapping[str, object] | None,
        signature_name: str,
        version: int | None,
        label: str,
    ) -> None:
        self._address_to(request.model_spec, version, label)
        request.model_spec.signature_name = signature_name
        document = {"examples": to_json(list(examples))}
        if context is not None:
            document["context"] = to_json(dict(context))
        request.input.CopyFrom(read_examples(document))

    def _signatures(self, version: int | None, label: str = "") -> get_model_metadata_pb2.SignatureDefMap:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address_to(request.model_spec, version, label)
        packed = self._call("GetModelMetadata", request).metadata["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        packed.Unpack(signatures)
        return signatures

    def _definition(self, name: str, version: int | None, label: str) -> meta_graph_pb2.SignatureDef | None:
        """A signature, which the server is asked for once; None if it has no such."""
        key = (name, version, label)
        if key not in self._definitions:
            signatures = self._signatures(version, label).signature_def
            if name not in signatures:
                return None
            self._definitions[key] = signatures[name]
        return self._definitions[key]

    def _input_type(self, name: str, *where: object) -> int | None:
        definition = self._definition(*where)
        return definition.inputs[name].dtype if definition and name in definition.inputs else None

    def _call(self, method: str, request: object) -> object:
        left = self._retries
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
            time.sleep(min(wait_s, _LONGEST_PAUSE_S))
            left -= 1


def _methods(channel: grpc.Channel) -> dict[str, grpc.UnaryUnaryMultiCallable]:
    """The methods of both services by name: what their stubs hold, whose modules import TensorFlow."""
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
        ("grpc.initial_reconnect_backoff_ms", 100),  # else a second, in which every attempt fails at once
    ]
    if not retries:
        return [*options, ("grpc.enable_retries", 0)]
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    return [*options, ("grpc.service_config", config)]
