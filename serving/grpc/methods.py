"""Plain functions as gRPC methods: deadlines in, statuses out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from keras_attn.serving.caller import Caller, working_for
from keras_attn.serving.errors import ServingError, unexpected
from keras_attn.serving.grpc.retry_hints import retry_metadata
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE
from keras_attn.serving.monitoring.access_log import AccessLog, host_of

_log = logging.getLogger("keras_attn.serving")
_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_MAX_ERROR_BYTES = 1024
_MOST_LOGGED = 256
# A call without a deadline reports one at the end of time.
_NO_DEADLINE_S = 10 * 365 * 24 * 3600

SERVICE_FILES = (prediction_service_pb2.DESCRIPTOR, model_service_pb2.DESCRIPTOR)

Method = Callable[[object, int], object]


def method_handlers(
    methods: Mapping[str, Method], access_log: AccessLog | None = None
) -> list[grpc.GenericRpcHandler]:
    """Returns what a `grpc.Server` needs; methods that are not given answer UNIMPLEMENTED.

    Args:
        methods: name of a method of `PredictionService` or `ModelService` -> function of a request and a
            limit in milliseconds, 0 for none.
        access_log: where calls are written.
    """
    access_log = access_log or AccessLog("")
    handlers = []
    for file in SERVICE_FILES:
        for service in file.services_by_name.values():
            calls = {
                method.name: _unary(methods[method.name], method, access_log)
                for method in service.methods
                if method.name in methods
            }
            handlers.append(grpc.method_handlers_generic_handler(service.full_name, calls))
    return handlers


def _unary(run: Method, descriptor: MethodDescriptor, access_log: AccessLog) -> grpc.RpcMethodHandler:
    """Wraps a method so that its deadline is passed on."""
    return unary_handler(
        lambda request, context: run(request, _timeout_ms(context)),
        descriptor.name,
        descriptor.input_type._concrete_class,
        access_log,
    )


def unary_handler(
    run: Callable[[object, grpc.ServicerContext], object],
    name: str,
    request_type: type[Message],
    access_log: AccessLog,
) -> grpc.RpcMethodHandler:
    """Wraps a function so that it is logged and its errors become gRPC statuses.

    Args:
        run: function of a request and the call's context.
        name: the method's name, for the log.
        request_type: class of the request.
        access_log: where calls are written.
    """

    def call(request: object, context: grpc.ServicerContext) -> object:
        begin = time.perf_counter()

        def note(status: str) -> None:
            if access_log.is_on:
                access_log.write("GRPC", name, status, begin, **_asked(request), peer=_host(context.peer()))

        try:
            with working_for(_caller_of(context)):
                response = run(request, context)
            note("OK")
            return response
        except ServingError as error:
            failure = error
        except Exception as error:
            _log.exception("A gRPC request failed unexpectedly.")
            failure = unexpected(error)
        note(failure.code.name)
        status, text = _STATUS[int(failure.code)], cut_message(failure.message)
        context.set_trailing_metadata(retry_metadata(status, text))
        context.abort(status, text)
        return None

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )


def _caller_of(context: grpc.ServicerContext) -> Caller:
    """Returns who leaves when the call ends: also because it is cancelled or its deadline is over."""
    caller = Caller()
    if not context.add_callback(caller.leave):  # it has ended already
        caller.leave()
    return caller


def _asked(request: Message) -> dict[str, object]:
    """Returns which model a request is for, as far as it says so: fields of the access log."""
    fields = request.DESCRIPTOR.fields_by_name
    tasks = request.tasks if "tasks" in fields else [request]
    specs = [task.model_spec for task in tasks if "model_spec" in task.DESCRIPTOR.fields_by_name]
    if not specs:
        return {}
    asked: dict[str, object] = {"model": specs[0].name[:_MOST_LOGGED]}
    choice = specs[0].WhichOneof("version_choice")
    if choice == "version":
        asked["version"] = specs[0].version.value
    elif choice == "version_label":
        asked["label"] = specs[0].version_label[:_MOST_LOGGED]
    if "input" in fields or "inputs" in fields:
        names = ",".join(spec.signature_name or DEFAULT_SIGNATURE for spec in specs)
        asked["signature"] = names[:_MOST_LOGGED]
    return asked


def _host(peer: str) -> str:
    """Returns the address of a peer as the REST lines have it: `ipv6:%5B::1%5D:58106` is `::1`."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return unquote(peer)  # a unix socket
    return host_of(address.rpartition(":")[0].strip("[]"))


def _timeout_ms(context: grpc.ServicerContext) -> int:
    remaining_s = context.time_remaining()
    if remaining_s is None or remaining_s > _NO_DEADLINE_S:
        return 0
    # 0 would mean no limit: a deadline that has passed still gets a millisecond.
    return max(1, int(remaining_s * 1000))


def cut_message(message: str) -> str:
    """Shortens an error text to what the stock server puts into a status: 1024 bytes and a mark."""
    data = message.encode("utf-8", "replace")
    if len(data) <= _MAX_ERROR_BYTES:
        return data.decode()
    return data[:_MAX_ERROR_BYTES].decode("utf-8", "ignore") + "...TRUNCATED"
