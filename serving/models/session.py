"""One SavedModel in a session of its own.

A v1 session is what TensorFlow's own model server runs: a feed's shape is left to the kernels, any
subset of the outputs may be fetched, and errors carry TensorFlow's own texts. The low-level call is
about six times cheaper than calling a signature function of `tf.saved_model.load`.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_attn.quiet import import_tensorflow
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.file_system import exists
from keras_attn.serving.inference.servable import INTER_OP_THREADS, INTRA_OP_THREADS
from keras_attn.serving.models.imported_graph import ImportedGraph
from keras_attn.serving.monitoring.metric_definitions import SESSION_RUNS
from keras_attn.serving.monitoring.metrics import Metrics

tf = import_tensorflow()

from tensorflow.python.client import pywrap_tf_session as _pywrap  # noqa: E402

_DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"


def disable_xla() -> bool:
    """Makes XLA-compiled functions fail in this whole process, as in the stock model server.

    Returns:
        False where the native library or its symbol was not found, so that XLA stays enabled.
    """
    root = Path(tf.sysconfig.get_lib())
    for name in ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib"):
        if (root / name).exists():
            switch = getattr(ctypes.CDLL(str(root / name)), _DISABLE_XLA, None)
            if switch is not None:
                switch()
                return True
    return False


class GraphSession:
    """A loaded SavedModel that maps tensor names to arrays.

    Args:
        directory: SavedModel directory; a URL where TensorFlow has a file system for it.
        tags: tags of the MetaGraph to load.
        intra_op_threads: threads one op may use; 0 lets TensorFlow choose.
        inter_op_threads: ops that may run at once over all requests; 0 lets TensorFlow choose.
        config: further settings, a `ConfigProto` in binary form.
        metrics: where runs are counted.

    Attributes:
        signature_defs: name -> `SignatureDef`.

    Raises:
        ServingError: the directory holds no loadable SavedModel.
    """

    def __init__(
        self,
        directory: str | Path,
        tags: Sequence[str] = ("serve",),
        intra_op_threads: int = INTRA_OP_THREADS,
        inter_op_threads: int = INTER_OP_THREADS,
        config: bytes = b"",
        metrics: Metrics | None = None,
    ):
        self._metrics = metrics or Metrics()
        directory = str(directory)
        _check_saved_model(directory)
        self._endpoints: dict[str, object] = {}  # looking a tensor up by name costs half a run
        self._session = None
        try:
            self._graph = ImportedGraph(directory, tags)
            settings = _settings(config, intra_op_threads, inter_op_threads, self._graph.is_optimized)
            self._session = tf.compat.v1.Session(graph=self._graph.graph, config=settings)
            _pywrap.ExtendSession(self._session._session)
            self._graph.initialize(self._session)
        except Exception as error:
            if self._session is not None:
                self._session.close()
            raise _load_error(directory, error) from error
        self.signature_defs = self._graph.signature_defs

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        timeout_ms: int = 0,
        waits: bool = False,
    ) -> list[np.ndarray]:
        """Runs the graph once.

        Args:
            feeds: tensor name -> array; strings are object arrays of bytes. Shapes are not checked here.
            fetches: tensor names to compute.
            timeout_ms: limit for this run in milliseconds; 0 means none.
            waits: this run waits for others: it stays in the caller's thread, for the session's may be busy
                until those others end, and is not counted.

        Returns:
            One array for each fetch, in order.

        Raises:
            ServingError: with the code and the text that TensorFlow gave.
        """
        fed = {self._endpoint(name): array for name, array in feeds.items()}
        wanted = [self._endpoint(name) for name in fetches]
        settings = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms, inter_op_thread_pool=-1 if waits else 0)
        options = _pywrap.TF_NewBufferFromString(settings.SerializeToString())
        if not waits:
            self._metrics.increase(SESSION_RUNS)
        begin = time.perf_counter()
        try:
            results = _pywrap.TF_SessionRun_wrapper(self._session._session, options, fed, wanted, [], None)
        except tf.errors.OpError as error:
            raise ServingError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError) as error:
            raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error
        finally:
            _pywrap.TF_DeleteBuffer(options)
        if not waits:
            self._metrics.count_graph_run(int((time.perf_counter() - begin) * 1e6))
        return [_as_array(result) for result in results]

    def close(self) -> None:
        """Frees the session. No run may be in flight."""
        self._session.close()

    def _endpoint(self, name: str) -> object:
        if name in self._endpoints:
            return self._endpoints[name]
        try:
            endpoint = self._graph.output(name)
        except (KeyError, ValueError) as error:
            # A ragged output, for one, has no single tensor: its signature entry names none.
            full_name = name if ":" in name else f"{name}:0"
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Tensor {full_name}, specified in either feed_devices or fetch_devices"
                " was not found in the Graph",
            ) from error
        self._endpoints[name] = endpoint
        return endpoint


def _settings(config: bytes, intra_op_threads: int, inter_op_threads: int, is_optimized: bool) -> object:
    settings = tf.compat.v1.ConfigProto.FromString(config)
    if is_optimized and not settings.graph_options.HasField("rewrite_options"):
        # The same passes at the first run of each signature would take most of the time of loading.
        settings.graph_options.rewrite_options.disable_meta_optimizer = True
    settings.MergeFrom(
        tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra_op_threads,
            inter_op_parallelism_threads=inter_op_threads,
            use_per_session_threads=True,
        )
    )
    return settings


def _as_array(result: object) -> np.ndarray:
    """Wraps scalars, which the session returns as plain bytes or NumPy scalars."""
    if isinstance(result, bytes):
        return np.array(result, dtype=object)
    return np.asarray(result)


def _check_saved_model(directory: str) -> None:
    names = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
    if not any(exists(os.path.join(directory, name)) for name in names):
        raise ServingError(
            Code.NOT_FOUND,
            "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "
            f"{directory}. Check that the directory exists and that you have the right permissions"
            " for accessing it.",
        )


def _load_error(directory: str, error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        return ServingError(Code(error.error_code), error.message)
    if isinstance(error, OSError) and "Cannot parse file" in str(error):
        return ServingError(Code.OUT_OF_RANGE, "Read less bytes than requested")
    text = " ".join(str(error).split()) or type(error).__name__
    return ServingError(Code.UNKNOWN, text)
