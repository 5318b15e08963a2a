"""Queues of requests that are run in batches, by threads that all queues share."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from keras_attn.serving.batching.parameters import BatchingParameters
from keras_attn.serving.batching.tasks import Process, Task, run_tasks
from keras_attn.serving.errors import Code, ServingError, invalid, shutting_down


@dataclass
class _Batch:
    tasks: list[Task] = field(default_factory=list)
    size: int = 0
    opened_at: float = 0.0


class BatchQueue:
    """Requests of one kind: the same tensors in and out. Made by `BatchScheduler.queue`.

    Args:
        parameters: sizes and waiting times.
        process: runs tasks together, and sets `outputs` of each.
        changed: condition of the scheduler; its lock guards the batches.
    """

    def __init__(
        self,
        parameters: BatchingParameters,
        process: Process,
        changed: threading.Condition,
    ):
        self.process = process
        self._parameters = parameters
        self._changed = changed
        self._batches: deque[_Batch] = deque([_Batch()])
        self._is_closed = False

    def add(self, tasks: Sequence[Task]) -> None:
        """Puts the tasks of one request into the last batch, and into new ones where they do not fit.

        Raises:
            ServingError: a task is too large, too many batches wait already, or the queue is closed; none of
                the tasks is run then.
        """
        limit = self._parameters.execution_size
        for task in tasks:
            if task.size > limit:
                raise invalid(f"Task size {task.size} is larger than maximum input batch size {limit}")
        with self._changed:
            if self._is_closed:
                raise shutting_down()
            self._check_room(tasks)
            for task in tasks:
                self._append(task)
            self._changed.notify_all()

    def close(self) -> list[Task]:
        """Takes no more tasks; returns those that wait."""
        self._is_closed = True
        waiting = [task for batch in self._batches for task in batch.tasks]
        self._batches = deque([_Batch()])
        return waiting

    def take(self, now: float) -> list[Task]:
        """Returns the tasks of a batch that is full or has waited long enough; none if there is none."""
        first = self._batches[0]
        is_closed = len(self._batches) > 1 or first.size >= self._parameters.execution_size
        if not first.tasks or not (is_closed or now >= self._due(first)):
            return []
        self._batches.popleft()
        if not self._batches:
            self._batches.append(_Batch())
        return first.tasks

    def next_due(self) -> float | None:
        """Returns when the open batch has waited long enough; None if nothing waits."""
        return self._due(self._batches[0]) if self._batches[0].tasks else None

    def _due(self, batch: _Batch) -> float:
        return batch.opened_at + self._parameters.batch_timeout_micros / 1e6

    def _append(self, task: Task) -> None:
        if self._batches[-1].size + task.size > self._parameters.execution_size:
            self._batches.append(_Batch())
        batch = self._batches[-1]
        batch.opened_at = batch.opened_at if batch.tasks else task.enqueued_at
        batch.tasks.append(task)
        batch.size += task.size

    def _check_room(self, tasks: Sequence[Task]) -> None:
        most, size, num_new = self._parameters.max_enqueued_batches, self._batches[-1].size, 0
        for task in tasks:
            opens = size + task.size > self._parameters.execution_size
            num_new += opens
            size = task.size if opens else size + task.size
        if num_new and len(self._batches) + num_new > most:
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; currently"
                f" {len(self._batches)} batches enqueued and max_enqueued_batches is {most}",
            )


class BatchScheduler:
    """Threads that run the batches of all queues in turn.

    Args:
        num_threads: batches that may run at once.
    """

    def __init__(self, num_threads: int):
        self._changed = threading.Condition()
        self._queues: list[BatchQueue] = []
        self._threads: list[threading.Thread] = []
        self._num_threads = num_threads
        self._is_stopped = False

    def queue(self, parameters: BatchingParameters, process: Process) -> BatchQueue:
        """Returns a new queue; `process` runs tasks of it together."""
        queue = BatchQueue(parameters, process, self._changed)
        with self._changed:
            if self._is_stopped:
                queue.close()
            self._queues.append(queue)
            if not self._threads:
                self._start_threads()
        return queue

    def drop(self, queue: BatchQueue) -> None:
        """Forgets a queue that gets no more tasks."""
        with self._changed:
            self._queues.remove(queue)

    def stop(self) -> None:
        """Ends the threads once they have run what they took; whoever waits for more gets an error."""
        with self._changed:
            self._is_stopped = True
            waiting = [task for queue in self._queues for task in queue.close()]
            self._changed.notify_all()
        for task in waiting:
            task.end(shutting_down())

    def _start_threads(self) -> None:
        for number in range(self._num_threads):
            thread = threading.Thread(target=self._run, name=f"batch-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Runs one batch; False when the scheduler is stopped.

        While a thread waits, no frame of it holds a queue or a task: they would keep a model that was
        unloaded in memory.
        """
        work = self._next()
        if work is None:
            return False
        queue, tasks = work
        run_tasks(tasks, queue.process)
        return True

    def _next(self) -> tuple[BatchQueue, list[Task]] | None:
        with self._changed:
            while not self._is_stopped:
                now = time.monotonic()
                work = self._take(now)
                if work is not None:
                    return work
                dues = [due for queue in self._queues if (due := queue.next_due()) is not None]
                self._changed.wait(max(0.0, min(dues) - now) if dues else None)
        return None

    def _take(self, now: float) -> tuple[BatchQueue, list[Task]] | None:
        for position, queue in enumerate(self._queues):
            if tasks := queue.take(now):
                # The next look begins behind this queue, so that none is left waiting.
                self._queues = self._queues[position + 1 :] + self._queues[: position + 1]
                return queue, tasks
        return None
