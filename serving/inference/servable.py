"""One loaded version of one model, and the session that runs it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from keras_attn.serving.caller import current_caller
from keras_attn.serving.inference.row_options import with_value_each_row
from keras_attn.serving.inference.signatures import Signature, read_signature
from keras_attn.serving.inference.stream_reader import refuse_to_wait, stream_reader
from keras_attn.serving.limits import Limits
from keras_attn.serving.monitoring.metric_definitions import RUNTIME_LATENCY
from keras_attn.serving.monitoring.metrics import Metrics

# One thread an op: concurrent requests then stay off each other's cores, which decoding with its many small
# ops gains most from. `tests/benchmarks/serving_threads.py` compares the settings.
INTRA_OP_THREADS = 1
# As many ops at once, over all requests, as TensorFlow finds cores. A negative number would let each request
# compute in the thread that it came in.
INTER_OP_THREADS = 0


@dataclass(frozen=True)
class SessionSettings:
    """Settings of loading and running models.

    Args:
        intra_op_threads: threads one op may use; 1 keeps concurrent requests off each other's cores.
        inter_op_threads: ops that may run at once; 0 lets TensorFlow choose.
        tags: tags of the graph to load from a SavedModel.
        config: further session settings, a `ConfigProto` in binary form; the thread counts win where they
            are not 0.
        checks_method_names: refuse a signature whose `method_name` is not that of the request.
        writes_tensor_content: answer gRPC requests with `tensor_content` instead of typed values.
        limits: what one run may cost.
    """

    intra_op_threads: int = INTRA_OP_THREADS
    inter_op_threads: int = INTER_OP_THREADS
    tags: tuple[str, ...] = ("serve",)
    config: bytes = b""
    checks_method_names: bool = False
    writes_tensor_content: bool = False
    limits: Limits = field(default_factory=Limits)


class Session(Protocol):
    """Runs a graph: a `GraphSession`, or a session that collects requests into batches."""

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_ms: int = 0
    ) -> list[np.ndarray]:
        """Maps tensor names and arrays to the arrays of the tensors in `fetches`."""
        ...

    def close(self) -> None:
        """Frees what the session holds."""
        ...


class Servable:
    """A model version that answers requests.

    Args:
        name: model name.
        version: version number.
        session: the loaded graph.
        signature_defs: name -> `SignatureDef` message.
        settings: how requests are checked and answered.
        metrics: where runs are counted.
        graph: the session itself, where `session` collects the requests for it; None means the same.

    Attributes:
        limits: what one run may cost; those of the settings.
    """

    def __init__(
        self,
        name: str,
        version: int,
        session: Session,
        signature_defs: Mapping[str, object],
        settings: SessionSettings | None = None,
        metrics: Metrics | None = None,
        graph: Session | None = None,
    ):
        settings = settings or SessionSettings()
        self.name = name
        self.version = version
        self.checks_method_names = settings.checks_method_names
        self.writes_tensor_content = settings.writes_tensor_content
        self.metrics = metrics or Metrics()
        self.limits = settings.limits
        self.signature_defs = signature_defs
        self.signatures = {key: read_signature(key, value) for key, value in signature_defs.items()}
        self._session = session
        self._joins_requests = graph is not None and graph is not session
        self.streams = stream_reader(graph or session, self.signatures)

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int = 0,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            signature: one of `self.signatures`.
            inputs: input name -> array; all that have no default must be there.
            outputs: output names to compute.
            timeout_ms: limit in milliseconds; 0 means none.

        Returns:
            output name -> array, in the order of `outputs`.

        Raises:
            ServingError: what the graph reported.
        """
        if self.streams is not None:
            refuse_to_wait(signature, inputs)
        if self._joins_requests:
            values = with_value_each_row(signature, inputs)
        else:  # one value for all rows is the graph's to repeat
            values = {**signature.defaults, **inputs}
        feeds = {signature.inputs[alias].tensor_name: array for alias, array in values.items()}
        fetches = [signature.outputs[alias].tensor_name for alias in outputs]
        arrays = self.run_tensors(feeds, fetches, timeout_ms, "Predict")
        return {alias: arrays[name] for alias, name in zip(outputs, fetches, strict=True)}

    def run_tensors(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_ms: int, api: str
    ) -> dict[str, np.ndarray]:
        """Runs the graph.

        Args:
            feeds: tensor name -> array.
            fetches: tensor names to compute.
            timeout_ms: limit in milliseconds; 0 means none.
            api: name of the call under which the time is counted.

        Returns:
            tensor name -> array.

        Raises:
            ServingError: what the graph reported; CANCELLED if the caller has left.
        """
        self.limits.check_inputs(feeds)
        current_caller().check()
        begin = time.perf_counter()
        arrays = self._session.run(feeds, fetches, self.limits.run_time_ms(timeout_ms))
        microseconds = (time.perf_counter() - begin) * 1e6
        self.metrics.observe(RUNTIME_LATENCY, self.name, api, "TF1", value=microseconds)
        return dict(zip(fetches, arrays, strict=True))

    def close(self) -> None:
        """Frees the graph and its variables."""
        if self.streams is not None:
            self.streams.expect_end()
        self._session.close()
        if self.streams is not None:
            self.streams.join()


class Loader(Protocol):
    """Makes a servable from a version directory; tests put a fake in its place."""

    def __call__(self, name: str, version: int, directory: str) -> Servable:
        """Loads `directory` or raises `ServingError`."""
        ...
