"""`tensorflow.ProfilerService`: what TensorFlow computes while requests come in, for TensorBoard.

The service of the stock server lies inside TensorFlow, but no function there puts it on another gRPC server.
Its profiler can be had, so this file does what that service does.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from functools import cache
from pathlib import Path, PurePosixPath

import grpc
import tensorflow as tf
from google.protobuf import message
from google.protobuf.descriptor import FileDescriptor

from keras_attn.serving.caller import current_caller
from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.grpc.methods import unary_handler
from keras_attn.serving.monitoring.access_log import AccessLog
from keras_attn.serving.protos.built_messages import build_messages

_TICK_S = 0.01
_MOST_STOPPED = 1000
# tsl/profiler/protobuf/profiler_service.proto, profiler_options.proto and xplane.proto, as far as they are
# read here. Messages that are only passed on are bytes, which look the same on the wire.
_LAYOUTS = {
    "ProfileOptions": {
        "host_tracer_level": (2, "uint32"),
        "device_tracer_level": (3, "uint32"),
        "python_tracer_level": (4, "uint32"),
        "version": (5, "uint32"),
        "duration_ms": (9, "uint64"),
    },
    "ProfileRequest": {
        "duration_ms": (1, "uint64"),
        "opts": (4, ".tensorflow.ProfileOptions"),
        "repository_root": (5, "string"),
        "session_id": (6, "string"),
        "host_name": (7, "string"),
        "emit_xspace": (9, "bool"),
    },
    "ProfileResponse": {"empty_trace": (7, "bool"), "xspace": (8, "bytes")},
    "TerminateRequest": {"session_id": (1, "string")},
    "TerminateResponse": {},
    "MonitorRequest": {"duration_ms": (1, "uint64")},
}
_TRACE_LAYOUTS = {
    "XSpace": {"planes": (1, "repeated .tensorflow.profiler.XPlane")},
    "XPlane": {"lines": (3, "repeated .tensorflow.profiler.XLine")},
    "XLine": {"events": (4, "repeated bytes")},
}
# What there is of the service, for those who ask what can be called.
_METHODS = {
    "Profile": ("ProfileRequest", "ProfileResponse"),
    "Terminate": ("TerminateRequest", "TerminateResponse"),
}
_NOT_HERE = {
    "Monitor": "unimplemented.",  # the stock server's own words: there is nothing to monitor on a CPU
    "StartContinuousProfiling": "Continuous profiling is not supported. Call Profile again and again.",
    "StopContinuousProfiling": "Continuous profiling is not supported. Call Profile again and again.",
    "GetSnapshot": "Continuous profiling is not supported. Call Profile again and again.",
}


@cache
def profiler_messages() -> dict[str, type[message.Message]]:
    """Returns the service's messages by name."""
    return build_messages("tensorflow", _LAYOUTS, {"ProfilerService": _METHODS})


@cache
def _trace_messages() -> dict[str, type[message.Message]]:
    return build_messages("tensorflow.profiler", _TRACE_LAYOUTS)


def profiler_file() -> FileDescriptor:
    """Returns the description of the service, as far as it is served."""
    return profiler_messages()["ProfileRequest"].DESCRIPTOR.file


def profiler_handler(access_log: AccessLog | None = None) -> grpc.GenericRpcHandler:
    """Returns what a `grpc.Server` needs to serve `tensorflow.ProfilerService`.

    Args:
        access_log: where calls are written.
    """
    messages, profiler = profiler_messages(), _Profiler()
    runs = {
        "Profile": (profiler.profile, messages["ProfileRequest"]),
        "Terminate": (profiler.terminate, messages["TerminateRequest"]),
        **{name: (_refusing(text), messages["MonitorRequest"]) for name, text in _NOT_HERE.items()},
    }
    access_log = access_log or AccessLog("")
    calls = {name: unary_handler(run, name, kind, access_log) for name, (run, kind) in runs.items()}
    return grpc.method_handlers_generic_handler("tensorflow.ProfilerService", calls)


class _Profiler:
    """Runs one profiling session at a time, for that is all that TensorFlow can do in one process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._stopped: set[str] = set()

    def profile(self, request: message.Message, context: grpc.ServicerContext) -> message.Message:
        """Watches for some time; the trace goes into the answer, or into a file for TensorBoard."""
        if not request.emit_xspace and not request.repository_root:
            raise invalid(
                "ProfileRequest has neither emit_xspace nor repository_root. Expected one of them, to know"
                " where the trace is to go."
            )
        data = self._trace(request)
        response = profiler_messages()["ProfileResponse"](empty_trace=_is_empty(data))
        if request.emit_xspace:
            response.xspace = data
        else:
            _save(request, data)
        return response

    def terminate(self, request: message.Message, context: grpc.ServicerContext) -> message.Message:
        """Ends a session before its time; what it has seen so far is its answer."""
        with self._lock:
            if len(self._stopped) >= _MOST_STOPPED:  # of sessions that never were
                self._stopped.clear()
            self._stopped.add(request.session_id)
        return profiler_messages()["TerminateResponse"]()

    def _trace(self, request: message.Message) -> bytes:
        from tensorflow.python.profiler.internal._pywrap_profiler import ProfilerSession

        session = ProfilerSession()
        try:
            with tempfile.TemporaryDirectory() as folder:
                return self._watched(session, folder, request)
        except tf.errors.OpError as error:  # another session is going on, for one
            raise ServingError(Code.INTERNAL, error.message) from error

    def _watched(self, session: object, folder: str, request: message.Message) -> bytes:
        """Returns an `XSpace`, which the profiler hands out as a file alone."""
        session.start(folder, _levels(request.opts))
        end = time.monotonic() + (request.opts.duration_ms or request.duration_ms) / 1e3
        while (left_s := end - time.monotonic()) > 0 and not self._is_stopped(request.session_id):
            current_caller().check()
            time.sleep(min(_TICK_S, left_s))
        session.export_to_tb()
        (file,) = Path(folder).glob("**/*.xplane.pb")
        return file.read_bytes()

    def _is_stopped(self, session_id: str) -> bool:
        with self._lock:
            is_stopped = session_id in self._stopped
            self._stopped.discard(session_id)
        return is_stopped


def _levels(options: message.Message) -> dict[str, int]:
    """The levels of tracing; options without a version are not filled in, and TensorFlow's defaults count."""
    if not options.version:
        return {"host_tracer_level": 2, "device_tracer_level": 1, "python_tracer_level": 0}
    names = ("host_tracer_level", "device_tracer_level", "python_tracer_level")
    return {name: getattr(options, name) for name in names}


def _is_empty(data: bytes) -> bool:
    space = _trace_messages()["XSpace"].FromString(data)
    return not any(line.events for plane in space.planes for line in plane.lines)


def _save(request: message.Message, data: bytes) -> None:
    """Writes `ROOT/SESSION/HOST.xplane.pb`, where TensorBoard looks for it."""
    folder = PurePosixPath(request.session_id).name
    host = PurePosixPath(request.host_name or socket.gethostname()).name.replace(":", "_")
    directory = tf.io.gfile.join(request.repository_root, folder)
    try:
        tf.io.gfile.makedirs(directory)
        with tf.io.gfile.GFile(tf.io.gfile.join(directory, f"{host}.xplane.pb"), "wb") as file:
            file.write(data)
    except tf.errors.OpError as error:
        raise ServingError(Code.INTERNAL, error.message) from error


def _refusing(text: str) -> object:
    def refuse(request: message.Message, context: grpc.ServicerContext) -> None:
        raise ServingError(Code.UNIMPLEMENTED, text)

    return refuse
