"""The metrics of the server, with TensorFlow Serving's names, labels and bucket limits."""

from __future__ import annotations

from dataclasses import dataclass

PAGE_PATH = "/monitoring/prometheus/metrics"  # where TensorFlow Serving shows them
_PREFIX = "/tensorflow/serving/"


@dataclass(frozen=True)
class Definition:
    """A metric.

    Args:
        name: TensorFlow's name, a path.
        labels: names of its labels.
        limits: upper limits of a histogram's buckets, exclusive, without the infinite one; empty for a
            counter.
        is_gauge: a value that is set, not a counter.
    """

    name: str
    labels: tuple[str, ...]
    limits: tuple[float, ...] = ()
    is_gauge: bool = False


def exponential(first: float, growth: float, count: int) -> tuple[float, ...]:
    """Returns bucket limits first, first x growth, first x growth^2, ..."""
    return tuple(first * growth**power for power in range(count))


_LATENCY_US = exponential(10, 1.8, 33)
_SIZES = exponential(1, 2, 14)

REQUESTS = Definition(_PREFIX + "request_count", ("model_name", "status"))
REQUEST_LATENCY = Definition(_PREFIX + "request_latency", ("model_name", "API", "entrypoint"), _LATENCY_US)
RUNTIME_LATENCY = Definition(_PREFIX + "runtime_latency", ("model_name", "API", "runtime"), _LATENCY_US)
EXAMPLES = Definition(_PREFIX + "request_example_counts", ("model",), exponential(1, 2, 15))
EXAMPLE_TOTAL = Definition(_PREFIX + "request_example_count_total", ("model",))
WARMUP_LATENCY = Definition(
    _PREFIX + "model_warmup_latency", ("model_path", "status"), exponential(10, 1.8, 33)
)
WARMUP_RECORDS = Definition(_PREFIX + "model_warmup_records_read", ("model_path", "status"))
QUEUING_LATENCY = Definition(
    _PREFIX + "batching_session/queuing_latency", ("thread_pool_name",), exponential(100, 1.2, 52)
)
WRAPPED_RUNS = Definition(_PREFIX + "batching_session/wrapped_run_count", ())
PADDING_SIZE = Definition(_PREFIX + "batching_session/padding_size", ("execution_batch_size",), _SIZES)
INPUT_BATCH_SIZE = Definition(_PREFIX + "batching_session/input_batch_size", (), _SIZES)
PROCESSED_BATCH_SIZE = Definition(_PREFIX + "batching_session/processed_batch_size", (), _SIZES)
LOAD_ATTEMPTS = Definition("/tensorflow/cc/saved_model/load_attempt_count", ("model_path", "status"))
LOAD_LATENCY = Definition("/tensorflow/cc/saved_model/load_latency", ("model_path",))
# TensorFlow keeps these itself and shows them to C++ alone: they are counted again, around each of our runs.
SESSION_RUNS = Definition("/tensorflow/core/direct_session_runs", ())
GRAPH_RUNS = Definition("/tensorflow/core/graph_runs", ())
GRAPH_RUN_TIME = Definition("/tensorflow/core/graph_run_time_usecs", ())
GRAPH_RUN_TIMES = Definition("/tensorflow/core/graph_run_time_usecs_histogram", (), exponential(1000, 2, 20))
# By the limit that refused them: `waiting`, over REST and gRPC, and `body`, over REST alone, because messages
# that are too long for gRPC are refused by its library, which tells nobody.
REFUSALS = Definition("/keras_attn/serving/refused_request_count", ("limit",))
# What runs or waits for a thread.
RUNNING = Definition("/keras_attn/serving/running_requests", ("entrypoint",), is_gauge=True)

DEFINITIONS = tuple(value for value in globals().values() if isinstance(value, Definition))
