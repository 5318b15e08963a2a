"""A batch that fails: who gets which error, and what is run again."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.serving.batching.tasks import Task, run_tasks
from keras_attn.serving.caller import Caller
from keras_attn.serving.errors import Code, ServingError


def tasks_of(*values, callers=()):
    callers = callers or [Caller() for _ in values]
    return [
        Task({"x": np.array([value])}, 1, caller=caller)
        for value, caller in zip(values, callers, strict=True)
    ]


class Doubler:
    """Doubles x, but fails where a value is bad; keeps what it was asked to run."""

    def __init__(self, bad=(), code=Code.INVALID_ARGUMENT):
        self.bad, self.code, self.runs = bad, code, []

    def __call__(self, tasks):
        values = [int(task.feeds["x"][0]) for task in tasks]
        self.runs.append(values)
        for value in values:
            if value in self.bad:
                raise ServingError(self.code, f"{value} is bad")
        for task, value in zip(tasks, values, strict=True):
            task.outputs = [np.array([2 * value])]


def answers_of(tasks):
    assert all(task.done.is_set() for task in tasks)
    return [task.error.message if task.error else int(task.outputs[0][0]) for task in tasks]


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE])
def test_a_bad_request_fails_alone(code):
    tasks, process = tasks_of(*range(8)), Doubler([5], code)
    run_tasks(tasks, process)
    assert answers_of(tasks) == [0, 2, 4, 6, 8, "5 is bad", 12, 14]
    assert process.runs == [[*range(8)], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]


def test_every_bad_request_gets_its_own_error():
    tasks, process = tasks_of(1, 2, 3), Doubler([1, 2, 3])
    run_tasks(tasks, process)
    assert answers_of(tasks) == ["1 is bad", "2 is bad", "3 is bad"]
    assert len(process.runs) == 5


@pytest.mark.parametrize(
    "code",
    [
        code
        for code in Code
        if code not in (Code.OK, Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.OUT_OF_RANGE)
    ],
)
def test_an_error_that_says_nothing_of_the_input_is_that_of_all_and_nothing_is_run_again(code):
    tasks, process = tasks_of(1, 2, 3), Doubler([2], code)
    run_tasks(tasks, process)
    assert answers_of(tasks) == ["2 is bad"] * 3
    assert process.runs == [[1, 2, 3]]


def test_a_surprise_is_that_of_all():
    def process(tasks):
        raise KeyError("x")

    tasks = tasks_of(1, 2)
    run_tasks(tasks, process)
    assert [type(task.error) for task in tasks] == [KeyError, KeyError]


def test_one_that_failed_alone_is_not_run_again():
    tasks, process = tasks_of(1), Doubler([1])
    run_tasks(tasks, process)
    assert (answers_of(tasks), process.runs) == (["1 is bad"], [[1]])


def test_whose_caller_leaves_meanwhile_is_not_run_again():
    callers = [Caller() for _ in range(4)]
    tasks, process = tasks_of(1, 2, 3, 4, callers=callers), Doubler([1])

    def leave_in_the_first_run(some):
        if not process.runs:
            callers[1].leave()
            callers[2].leave()
        process(some)

    run_tasks(tasks, leave_in_the_first_run)
    assert answers_of(tasks) == ["1 is bad", "The caller went away.", "The caller went away.", 8]
    assert process.runs == [[1, 2, 3, 4], [1], [4]]


def test_who_is_answered_does_not_wait_for_the_rest():
    tasks, seen = tasks_of(1, 2, 3), []

    def process(some):
        seen.append([task.done.is_set() for task in tasks])
        Doubler([3])(some)

    run_tasks(tasks, process)
    assert seen == [[False] * 3, [False] * 3, [True, False, False], [True, False, False], [True, True, False]]
