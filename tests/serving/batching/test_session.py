"""Requests that wait at the same time are run together, and each gets its own rows back."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from keras_attn.serving.batching.parameters import BatchingParameters
from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.batching.session import BatchingSession
from keras_attn.serving.caller import Caller, working_for
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.monitoring.metrics import Metrics

from ...waiting import wait_until

LONG_US = 60_000_000  # a batch that is not full waits longer than any test
BAD = 13.0


class FakeSession:
    """Doubles x; the first run waits until it is let go, if it is told to."""

    def __init__(self, waits=False):
        self.sizes, self.timeouts, self.is_closed = [], [], False
        self.has_begun, self.may_end = threading.Event(), threading.Event()
        if not waits:
            self.may_end.set()

    def run(self, feeds, fetches, timeout_ms=0):
        self.has_begun.set()
        assert self.may_end.wait(20.0)
        self.sizes.append(len(feeds["x"]))
        self.timeouts.append(timeout_ms)
        if feeds["x"].dtype != np.float32:
            raise ServingError(Code.INVALID_ARGUMENT, "not a float")
        if np.any(feeds["x"] == BAD):
            raise ServingError(Code.INVALID_ARGUMENT, "a bad value")
        results = {"y": feeds["x"] * 2, "z": -feeds["x"], "scalar": np.array(1.0)}
        return [results[name] for name in fetches]

    def close(self):
        self.is_closed = True


@pytest.fixture
def batching():
    schedulers = []

    def make(session, num_threads=1, metrics=None, **parameters):
        schedulers.append(BatchScheduler(num_threads))
        return BatchingSession(session, BatchingParameters(**parameters), schedulers[-1], metrics)

    yield make
    for scheduler in schedulers:
        scheduler.stop()


def floats(*values):
    return {"x": np.array(values, np.float32)}


def last_batch(session):
    return next(iter(session._queues.values()))._batches[-1]


def run_at_once(session, requests, fetches=("y",), timeout_ms=0):
    """Runs requests from a thread each; returns what each got, results as lists or the error."""
    answers = [None] * len(requests)

    def ask(number):
        try:
            answers[number] = [array.tolist() for array in session.run(requests[number], fetches, timeout_ms)]
        except ServingError as error:
            answers[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    return answers


def test_one_request(batching):
    session = batching(FakeSession())
    y, z, again = session.run(floats(1, 2), ["y", "z", "y"])
    assert (y.tolist(), z.tolist(), again.tolist()) == ([2, 4], [-1, -2], [2, 4])


def test_a_full_batch_runs_at_once(batching):
    fake = FakeSession()
    session = batching(fake, max_batch_size=5, batch_timeout_micros=LONG_US)
    answers = run_at_once(session, [floats(1, 2), floats(3), floats(4, 5)])
    assert answers == [[[2, 4]], [[6]], [[8, 10]]]
    assert fake.sizes == [5]


def test_a_batch_that_is_not_full_waits_its_time(batching):
    fake = FakeSession()
    session = batching(fake, max_batch_size=100, batch_timeout_micros=300_000)
    assert run_at_once(session, [floats(1), floats(2), floats(3)]) == [[[2]], [[4]], [[6]]]
    assert sum(fake.sizes) == 3
    assert len(fake.sizes) < 3


def test_allowed_sizes(batching):
    fake, metrics = FakeSession(), Metrics()
    session = batching(fake, metrics=metrics, max_batch_size=7, allowed_batch_sizes=(3, 7))
    assert session.run(floats(1, 2, 3, 4), ["y"])[0].tolist() == [2, 4, 6, 8]
    assert session.run(floats(1), ["y"])[0].tolist() == [2]
    assert fake.sizes == [7, 3]
    page = metrics.page()
    assert 'batching_session:padding_size_sum{execution_batch_size="7"} 3' in page
    assert "batching_session:wrapped_run_count{} 2" in page
    assert "batching_session:processed_batch_size_sum{} 10" in page
    assert "batching_session:input_batch_size_count{} 2" in page
    assert 'batching_session:queuing_latency_count{thread_pool_name=""} 2' in page


def test_requests_without_rows(batching):
    fake = FakeSession()
    session = batching(fake, max_batch_size=3, allowed_batch_sizes=(2, 3), batch_timeout_micros=100_000)
    assert run_at_once(session, [floats(), floats(1)]) == [[[]], [[2]]]
    assert run_at_once(session, [floats()]) == [[[]]]


def test_a_request_that_is_too_large(batching):
    session = batching(FakeSession(), max_batch_size=8)
    with pytest.raises(ServingError) as caught:
        session.run(floats(*range(9)), ["y"])
    assert str(caught.value) == "INVALID_ARGUMENT: Task size 9 is larger than maximum input batch size 8"


def test_large_requests_are_split_on_request(batching):
    fake = FakeSession()
    session = batching(fake, max_batch_size=8, enable_large_batch_splitting=True, max_execution_batch_size=3)
    assert session.run(floats(*range(8)), ["y"])[0].tolist() == [2 * x for x in range(8)]
    assert fake.sizes == [3, 3, 2]
    with pytest.raises(ServingError, match="Task size 9 is larger than maximum input batch size 8"):
        session.run(floats(*range(9)), ["y"])


def test_a_full_queue(batching):
    fake = FakeSession(waits=True)
    session = batching(fake, max_batch_size=1, max_enqueued_batches=1)
    first = threading.Thread(target=session.run, args=(floats(1), ["y"]))
    first.start()
    assert fake.has_begun.wait(20.0)
    second = threading.Thread(target=session.run, args=(floats(2), ["y"]))
    second.start()
    while not next(iter(session._queues.values()))._batches[0].tasks:
        pass
    with pytest.raises(ServingError) as caught:
        session.run(floats(3), ["y"])
    assert str(caught.value) == (
        "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full; currently 1"
        " batches enqueued and max_enqueued_batches is 1"
    )
    fake.may_end.set()
    first.join(20.0)
    second.join(20.0)
    assert fake.sizes == [1, 1]


def test_of_a_request_that_does_not_fit_whole_nothing_is_run(batching):
    fake = FakeSession(waits=True)
    splits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    session = batching(fake, max_batch_size=8, max_enqueued_batches=3, **splits)
    first = threading.Thread(target=session.run, args=(floats(1, 2), ["y"]))
    first.start()
    assert fake.has_begun.wait(20.0)
    with pytest.raises(ServingError, match=r"UNAVAILABLE: .* is full; currently 1 batches enqueued"):
        session.run(floats(*range(8)), ["y"])
    fake.may_end.set()
    first.join(20.0)
    assert session.run(floats(*range(5)), ["y"])[0].tolist() == [0, 2, 4, 6, 8]
    assert fake.sizes == [2, 2, 2, 1]


def test_a_request_ends_with_its_last_part(batching):
    """The first part failed; the graph must not be freed while another one runs."""
    fake, run = FakeSession(), FakeSession.run

    def fail_first(feeds, fetches, timeout_ms=0):
        outputs = run(fake, feeds, fetches)
        if feeds["x"][0] == 1:
            raise ServingError(Code.DATA_LOSS, "no good")
        assert fake.has_begun.wait(20.0)
        time.sleep(0.2)
        fake.sizes.append("done")
        return outputs

    fake.run = fail_first
    splits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 2}
    session = batching(fake, num_threads=2, max_batch_size=8, **splits)
    with pytest.raises(ServingError, match="DATA_LOSS: no good"):
        session.run(floats(1, 2, 3, 4), ["y"])
    assert fake.sizes[-1] == "done"


def test_whoever_waits_when_the_threads_end_gets_an_error():
    scheduler = BatchScheduler(1)
    parameters = BatchingParameters(max_batch_size=5, batch_timeout_micros=LONG_US)
    session, errors = BatchingSession(FakeSession(), parameters, scheduler), []

    def ask():
        with pytest.raises(ServingError, match=r"UNAVAILABLE: The server is shutting down\.") as caught:
            session.run(floats(1), ["y"])
        errors.append(caught.value)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while not (session._queues and next(iter(session._queues.values()))._batches[0].tasks):
        pass
    scheduler.stop()
    waiting.join(20.0)
    ask()  # later requests, too
    assert len(errors) == 2


def test_threads_that_wait_keep_no_model_in_memory():
    scheduler, fake = BatchScheduler(2), FakeSession()
    session = BatchingSession(fake, BatchingParameters(), scheduler)
    for value in range(7):
        session.run(floats(value), ["y"])
    left = weakref.ref(fake)
    session.close()
    del session, fake
    deadline = time.monotonic() + 20.0
    while left() is not None and time.monotonic() < deadline:  # the last thread may not yet wait again
        gc.collect()
    assert left() is None
    scheduler.stop()


def test_a_request_whose_time_ran_out_in_the_queue(batching):
    fake = FakeSession(waits=True)
    session = batching(fake, max_batch_size=1)
    first = threading.Thread(target=session.run, args=(floats(1), ["y"]))
    first.start()
    assert fake.has_begun.wait(20.0)
    threading.Timer(0.05, fake.may_end.set).start()
    with pytest.raises(ServingError) as caught:
        session.run(floats(2), ["y"], timeout_ms=1)
    message = "RESOURCE_EXHAUSTED: Run() timeout exceeded while waiting in batching queue"
    assert str(caught.value) == message
    first.join(20.0)
    session.run(floats(2), ["y"], timeout_ms=19_000)
    assert fake.timeouts[0] == 0
    assert 0 < fake.timeouts[1] <= 19_000


def test_a_request_whose_caller_has_left_is_not_run(batching):
    fake, gone = FakeSession(waits=True), Caller()
    session = batching(fake, max_batch_size=5, max_enqueued_batches=7)
    first = threading.Thread(target=session.run, args=(floats(1, 2, 3, 4, 5), ["y"]))
    first.start()
    assert fake.has_begun.wait(20.0)
    answers = []

    def ask_and_leave():
        with working_for(gone), pytest.raises(ServingError, match=r"CANCELLED: The caller went away\."):
            session.run(floats(6, 7), ["y"])
        answers.append("dropped")

    def ask():
        answers.append(session.run(floats(8), ["y"])[0].tolist())

    waiting = [threading.Thread(target=run) for run in (ask_and_leave, ask)]
    for thread in waiting:
        thread.start()
    while next(iter(session._queues.values()))._batches[0].size < 3:  # both in one batch
        pass
    gone.leave()
    fake.may_end.set()
    for thread in (first, *waiting):
        thread.join(20.0)
    assert sorted(answers, key=str) == [[16], "dropped"]
    assert fake.sizes == [5, 1]


def test_a_batch_of_which_all_callers_have_left_is_not_run(batching):
    fake, gone = FakeSession(), Caller()
    gone.leave()
    with working_for(gone), pytest.raises(ServingError, match="CANCELLED"):
        batching(fake).run(floats(1), ["y"])
    assert fake.sizes == []


def test_a_request_of_the_wrong_type_or_rank_fails_alone(batching):
    session = batching(FakeSession(), max_batch_size=2, batch_timeout_micros=200_000)
    wrong = {"x": np.array([1], np.int32)}
    good, bad, square = run_at_once(session, [floats(1), wrong, {"x": np.ones((1, 1), np.float32)}])
    assert (good, square) == ([[2]], [[[2]]])
    assert bad.message == "not a float"


def test_a_bad_request_fails_alone_and_is_counted_once(batching):
    fake, metrics = FakeSession(), Metrics()
    session = batching(fake, metrics=metrics, max_batch_size=4, batch_timeout_micros=LONG_US)
    good, bad, *others = run_at_once(session, [floats(1), floats(BAD), floats(2), floats(3)])
    assert [good, *others] == [[[2]], [[4]], [[6]]]
    assert bad.message == "a bad value"
    assert sorted(fake.sizes) == [1, 1, 2, 2, 4]
    page = metrics.page()
    assert "batching_session:input_batch_size_count{} 4" in page
    assert 'batching_session:queuing_latency_count{thread_pool_name=""} 4' in page
    assert "batching_session:wrapped_run_count{} 5" in page  # of the graph, all five
    assert "batching_session:processed_batch_size_count{} 5" in page


def test_what_is_run_again_has_the_time_that_is_left(batching):
    fake = FakeSession()
    session = batching(fake, max_batch_size=2, batch_timeout_micros=LONG_US)
    good, bad = run_at_once(session, [floats(1), floats(BAD)], timeout_ms=19_000)
    assert (good, bad.message) == ([[2]], "a bad value")
    assert len(fake.timeouts) == 3
    of_both, *of_one = fake.timeouts  # a run of both may take what the later of them has left
    assert 19_000 >= of_both >= max(of_one) >= min(of_one) > 0


def test_a_bad_row_of_a_request_that_is_split_is_no_fault_of_others(batching):
    fake = FakeSession(waits=True)
    splits = {"enable_large_batch_splitting": True, "max_execution_batch_size": 3}
    session = batching(fake, max_batch_size=9, batch_timeout_micros=LONG_US, **splits)
    first = threading.Thread(target=session.run, args=(floats(1, 2, 3), ["y"]))
    first.start()
    assert fake.has_begun.wait(20.0)
    answers = {}

    def ask(name, request):
        answers[name] = run_at_once(session, [request])[0]

    split = threading.Thread(target=ask, args=("split", floats(4, 5, 6, BAD)))
    split.start()
    wait_until(lambda: last_batch(session).size == 1)  # the last part, with the bad row
    joined = threading.Thread(target=ask, args=("joined", floats(7, 8)))
    joined.start()
    wait_until(lambda: last_batch(session).size == 3)
    fake.may_end.set()
    for thread in (first, split, joined):
        thread.join(20.0)
    assert answers["split"].message == "a bad value"
    assert answers["joined"] == [[14, 16]]
    assert fake.sizes == [3, 3, 3, 1, 2]


def test_inner_shapes(batching):
    requests = [{"x": np.ones((1, size), np.float32)} for size in (2, 3)]
    strict = batching(FakeSession(), max_batch_size=2, batch_timeout_micros=LONG_US)
    assert run_at_once(strict, requests) == [[[[2, 2]]], [[[2, 2, 2]]]]  # each by itself
    lenient = batching(
        FakeSession(), max_batch_size=2, batch_timeout_micros=LONG_US, pad_variable_length_inputs=True
    )
    assert run_at_once(lenient, requests) == [[[[2, 2, 2]]]] * 2


def test_outputs_that_are_no_batch(batching):
    with pytest.raises(ServingError, match="Batched output tensor has 0 dimensions"):
        batching(FakeSession()).run(floats(1), ["scalar"])


def test_a_surprise_is_passed_on_and_the_thread_goes_on(batching):
    fake = FakeSession()
    session = batching(fake)
    with pytest.raises(KeyError):
        session.run(floats(1), ["nothing"])
    assert session.run(floats(1), ["y"])[0].tolist() == [2]
    session.close()
    assert fake.is_closed
