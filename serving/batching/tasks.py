"""The tasks of a batch, run so that a bad request fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_attn.serving.batching.tensors import Feeds
from keras_attn.serving.caller import Caller, current_caller
from keras_attn.serving.errors import Code, ServingError

# Errors that one request can cause for a whole batch. Others are about the server or time: another run would
# not help.
_BLAME_INPUT = {Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE}

Process = Callable[[Sequence["Task"]], None]


@dataclass
class Task:
    """One request, or a part of one, that waits for its batch.

    Args:
        feeds: tensor name -> array.
        size: rows.
        timeout_ms: limit in milliseconds from `enqueued_at` on; 0 means none.
        caller: who waits for it; once gone, it is not run any more.
        has_begun: it has left the queue, and is maybe run again.
    """

    feeds: Feeds
    size: int
    timeout_ms: int = 0
    caller: Caller = field(default_factory=current_caller)
    enqueued_at: float = field(default_factory=time.monotonic)
    has_begun: bool = False
    outputs: list[np.ndarray] = field(default_factory=list)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def end(self, error: Exception | None = None) -> None:
        """Lets the one who waits go on, with an error if there is one."""
        self.error = error
        self.done.set()


def run_tasks(tasks: Sequence[Task], process: Process) -> None:
    """Runs a batch and ends all of its tasks.

    Where the batch fails and its inputs may be the reason, its halves are run, and theirs, so that in the end
    a bad request has failed alone. One among N takes about 2 log N runs more, where one by one would be N.

    Args:
        tasks: the batch.
        process: runs some of them together, and sets `outputs` of each.
    """
    groups = [tasks]
    while groups:
        group = _awaited(groups.pop())
        if not group:
            continue
        error = _error_of(process, group)
        if len(group) > 1 and _blames_input(error):
            middle = len(group) // 2
            groups += [group[middle:], group[:middle]]
            continue
        for task in group:
            task.end(error)


def _awaited(tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks whose callers still wait; the others end."""
    awaited = []
    for task in tasks:
        try:
            task.caller.check()
            awaited.append(task)
        except ServingError as error:
            task.end(error)
    return awaited


def _error_of(process: Process, tasks: Sequence[Task]) -> Exception | None:
    try:
        process(tasks)
    except Exception as error:  # whatever it is: the callers get it, and the thread goes on
        return error
    return None


def _blames_input(error: Exception | None) -> bool:
    return isinstance(error, ServingError) and error.code in _BLAME_INPUT
