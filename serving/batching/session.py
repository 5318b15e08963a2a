"""A session that runs requests which arrive at the same time as one batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.serving.batching.parameters import BatchingParameters
from keras_attn.serving.batching.scheduler import BatchQueue, BatchScheduler
from keras_attn.serving.batching.tasks import Task
from keras_attn.serving.batching.tensors import Feeds, join_parts, merge, split
from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.row_options import num_rows
from keras_attn.serving.inference.servable import Session
from keras_attn.serving.monitoring.metric_definitions import (
    INPUT_BATCH_SIZE,
    PADDING_SIZE,
    PROCESSED_BATCH_SIZE,
    QUEUING_LATENCY,
    WRAPPED_RUNS,
)
from keras_attn.serving.monitoring.metrics import Metrics

_Key = tuple[tuple[tuple[str, object, int], ...], tuple[str, ...]]


class BatchingSession:
    """Collects the runs of another session.

    Runs that feed and fetch the same tensors share a queue. Types and ranks are part of what must be the
    same. A batch that its inputs make fail is run again in parts, so that a bad request fails alone.

    Args:
        session: what runs the graph.
        parameters: sizes and waiting times.
        scheduler: threads that run the batches.
        metrics: where batches are counted.
    """

    def __init__(
        self,
        session: Session,
        parameters: BatchingParameters,
        scheduler: BatchScheduler,
        metrics: Metrics | None = None,
    ):
        self._session = session
        self._parameters = parameters
        self._scheduler = scheduler
        self._metrics = metrics or Metrics()
        self._queues: dict[_Key, BatchQueue] = {}
        self._lock = threading.Lock()

    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], timeout_ms: int = 0
    ) -> list[np.ndarray]:
        """Runs the graph on a request's rows, together with those of others.

        Args:
            feeds: tensor name -> array; all with the same first dimension.
            fetches: tensor names to compute; each must have the batch's rows.
            timeout_ms: limit in milliseconds, with the time in the queue; 0 means none.

        Returns:
            One array for each fetch, in order.

        Raises:
            ServingError: the request cannot be batched, or too many wait already; or what the graph said of
                it, or of its batch where no request is to blame.
        """
        size = num_rows(feeds)
        self._metrics.observe(INPUT_BATCH_SIZE, value=size)
        names = sorted(set(fetches))
        tasks = self._tasks(feeds, size, timeout_ms)
        queue = self._queue(feeds, names)
        queue.add(tasks)
        for task in tasks:  # all of them: the graph may be freed when this is left
            task.done.wait()
        for task in tasks:
            if task.error is not None:
                raise task.error
        whole = join_parts([task.outputs for task in tasks])
        return [whole[names.index(name)] for name in fetches]

    def close(self) -> None:
        """Frees the graph. No run may be in flight."""
        for queue in self._queues.values():
            self._scheduler.drop(queue)
        self._session.close()

    def _tasks(self, feeds: Feeds, size: int, timeout_ms: int) -> list[Task]:
        """Returns the request as one task, or cut into such as a batch can hold."""
        parameters, step = self._parameters, self._parameters.execution_size
        if not parameters.enable_large_batch_splitting or size <= step:
            return [Task(feeds, size, timeout_ms)]
        if size > parameters.max_batch_size:
            raise invalid(
                f"Task size {size} is larger than maximum input batch size {parameters.max_batch_size}"
            )
        tasks = []
        for at in range(0, size, step):
            part = {name: array[at : at + step] for name, array in feeds.items()}
            tasks.append(Task(part, min(step, size - at), timeout_ms))
        return tasks

    def _queue(self, feeds: Feeds, names: list[str]) -> BatchQueue:
        inputs = sorted((name, array.dtype.str, array.ndim) for name, array in feeds.items())
        key = (tuple(inputs), tuple(names))
        with self._lock:
            if key not in self._queues:
                self._queues[key] = self._scheduler.queue(
                    self._parameters, lambda tasks: self._process(tasks, names)
                )
            return self._queues[key]

    def _process(self, tasks: Sequence[Task], names: list[str]) -> None:
        self._count_waiting(tasks)
        timeout_ms = self._remaining_ms(tasks)
        sizes = [task.size for task in tasks]
        total = sum(sizes)
        padded = self._parameters.padded_size(total)
        requests = [task.feeds for task in tasks]
        feeds = merge(requests, self._parameters.pad_variable_length_inputs, padded - total)
        self._metrics.observe(PADDING_SIZE, str(padded), value=padded - total)
        self._metrics.observe(PROCESSED_BATCH_SIZE, value=padded)
        self._metrics.increase(WRAPPED_RUNS)
        outputs = self._session.run(feeds, names, timeout_ms)
        for task, arrays in zip(tasks, split(outputs, sizes, padded - total), strict=True):
            task.outputs = arrays

    def _count_waiting(self, tasks: Sequence[Task]) -> None:
        now, pool = time.monotonic(), self._parameters.thread_pool_name
        for task in tasks:
            if not task.has_begun:  # a task that is run again waits for nothing
                task.has_begun = True
                self._metrics.observe(QUEUING_LATENCY, pool, value=(now - task.enqueued_at) * 1e6)

    def _remaining_ms(self, tasks: Sequence[Task]) -> int:
        """Returns the longest time that any of the tasks has left; 0 if one has no limit."""
        if any(task.timeout_ms <= 0 for task in tasks):
            return 0
        now = time.monotonic()
        left_ms = max(task.timeout_ms - (now - task.enqueued_at) * 1e3 for task in tasks)
        if left_ms <= 0:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue"
            )
        return max(1, int(left_ms))
