"""A limit of waiting gRPC calls: further ones are refused at once, with a hint when to come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import grpc

from keras_attn.serving.grpc.retry_hints import retry_metadata
from keras_attn.serving.limits import too_many
from keras_attn.serving.monitoring.metric_definitions import REFUSALS, RUNNING
from keras_attn.serving.monitoring.metrics import Metrics


class CountingExecutor(ThreadPoolExecutor):
    """A thread pool that knows how many of its tasks run or wait.

    Args:
        max_threads: tasks that may run at once.
        metrics: where the number is shown.
    """

    def __init__(self, max_threads: int, metrics: Metrics):
        super().__init__(max_threads, thread_name_prefix="grpc")
        self._lock = threading.Lock()
        self._metrics = metrics
        self.num_tasks = 0

    def submit(self, task: Callable, /, *arguments: object, **more: object) -> Future:
        """Puts a task into the queue."""
        future = super().submit(task, *arguments, **more)
        self._count(1)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, by: int) -> None:
        with self._lock:
            self.num_tasks += by
        self._metrics.increase(RUNNING, "GRPC", by=by)


class Admission(grpc.ServerInterceptor):
    """Refuses calls while the pool has enough; gRPC's own limit could not say when to come back.

    Args:
        executor: the server's pool.
        most: calls that may run or wait at once.
        metrics: where refusals are counted.
    """

    def __init__(self, executor: CountingExecutor, most: int, metrics: Metrics):
        self._executor = executor
        self._most = most
        self._refusal = grpc.unary_unary_rpc_method_handler(_refusing(most, metrics))

    def intercept_service(self, continuation: Callable, details: object) -> grpc.RpcMethodHandler | None:
        """Returns the method's own handler, or one that refuses."""
        handler = continuation(details)
        return self._refusal if handler and self._executor.num_tasks >= self._most else handler


def _refusing(most: int, metrics: Metrics) -> Callable:
    text = too_many(most).message

    def refuse(request: bytes, context: grpc.ServicerContext) -> None:
        metrics.increase(REFUSALS, "waiting")
        context.set_trailing_metadata(retry_metadata(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    # A thread of its own, as those of the server's pool are what is wanting.
    refuse.experimental_thread_pool = ThreadPoolExecutor(1, thread_name_prefix="grpc-refusals")
    return refuse
