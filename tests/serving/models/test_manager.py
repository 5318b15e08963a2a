"""Start-up, reload, labels and the threads that look after the models."""

from __future__ import annotations

import threading

import pytest

from keras_attn.serving.caller import Caller, working_for
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.manager import ModelManager
from keras_attn.serving.models.model_settings import ModelSettings
from keras_attn.serving.models.registry import ModelSpec
from keras_attn.serving.models.version_policy import AllVersions
from keras_attn.serving.models.version_state import State
from keras_attn.serving.models.version_table import Retries

from ...waiting import wait_until

TIMEOUT_S = 23.0


class FakeServable:
    def __init__(self, name, version):
        self.name, self.version = name, version

    def close(self):
        pass


def load(name, version, directory):
    """Loads anything but models whose name begins with `broken`."""
    if name.startswith("broken"):
        raise ServingError(Code.DATA_LOSS, "no good")
    return FakeServable(name, version)


@pytest.fixture
def manager():
    managers = []

    def make(wait_seconds=0.01, **more):
        managers.append(ModelManager(load, wait_seconds, **more))
        return managers[-1]

    yield make
    for manager in managers:
        manager.stop(TIMEOUT_S)


@pytest.fixture
def settings(tmp_path):
    def make(name, *versions, **more):
        for version in versions:
            (tmp_path / name / str(version)).mkdir(parents=True, exist_ok=True)
        return ModelSettings(name, str(tmp_path / name), **more)

    return make


def states(manager, name):
    return {s.version: s.state for s in manager.registry.find(name).statuses()}


def version_of(manager, name, **spec):
    with manager.registry.use(ModelSpec(name, **spec)) as servable:
        return servable.version


def test_several_models_are_loaded_and_followed(manager, settings):
    m = manager()
    assert m.reload([settings("a", 2), settings("b", 3)])
    assert (version_of(m, "a"), version_of(m, "b")) == (2, 3)
    settings("a", 5)
    wait_until(lambda: states(m, "a") == {5: State.AVAILABLE, 2: State.END})


def test_a_reload_replaces_the_list(manager, settings):
    m = manager(wait_seconds=0)  # looked at once, and at every reload
    m.reload([settings("a", 2), settings("b", 3)])
    m.reload([settings("b", 3, 5, policy=AllVersions()), settings("c", 7)])
    wait_until(lambda: states(m, "a") == {2: State.END})
    wait_until(lambda: states(m, "b") == {5: State.AVAILABLE, 3: State.AVAILABLE})
    assert version_of(m, "c") == 7
    with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(a\)"):
        version_of(m, "a")
    m.reload([settings("a", 2)])
    assert states(m, "a") == {2: State.AVAILABLE}


def test_an_empty_list_serves_nothing(manager):
    assert manager().reload([])


def test_start_up_waits_for_a_version(manager, settings, caplog):
    m, done = manager(), []
    waiting = threading.Thread(target=lambda: done.append(m.reload([settings("a"), settings("b", 2)])))
    waiting.start()
    settings("a", 3)
    waiting.join(TIMEOUT_S)
    assert done == [True]


def test_start_up_can_be_given_up(manager, settings):
    stop = threading.Event()
    stop.set()
    assert not manager().reload([settings("a")], stop)


def test_waiting_ends_with_the_manager_or_its_time(manager, settings):
    m, done = manager(), []
    with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED: models \['a'\] did not become available"):
        m.reload([settings("a")], timeout_s=0.0)
    waiting = threading.Thread(target=lambda: done.append(m.reload([settings("b")])))
    waiting.start()
    wait_until(lambda: m.registry.find("b"))
    m.stop(TIMEOUT_S)
    waiting.join(TIMEOUT_S)
    assert done == [False]


def test_a_broken_model_is_reported_and_holds_up_no_other(manager, settings):
    m = manager(retries=Retries(1, 0.01))
    with pytest.raises(ServingError) as caught:
        m.reload([settings("empty"), settings("broken", 3), settings("a", 2)])
    assert str(caught.value) == (
        "UNKNOWN: 1 servable(s) did not become available:"
        " {{{name: broken version: 3} due to error: DATA_LOSS: no good}, }"
    )
    wait_until(lambda: states(m, "a") == {2: State.AVAILABLE})


def test_without_polling_nothing_is_waited_for(manager, settings):
    b = settings("b", 2)
    with pytest.raises(ServingError, match=r"polling is off\. Set --file_system_poll_wait_seconds"):
        manager(wait_seconds=-1).reload([b])
    with pytest.raises(ServingError, match="NOT_FOUND: no version of model a was found"):
        manager(wait_seconds=0).reload([settings("a")])


def test_labels(manager, settings):
    m = manager()
    a = settings("a", 2, 3, policy=AllVersions())
    m.reload([a])
    wait_until(lambda: list(states(m, "a").values()) == [State.AVAILABLE] * 2)
    m.reload([settings("a", policy=AllVersions(), labels={"stable": 2, "canary": 3})])
    assert version_of(m, "a", label="stable") == 2
    assert version_of(m, "a", label="canary") == 3
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: Unrecognized servable version label: other"):
        version_of(m, "a", label="other")
    with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
        version_of(m, "nobody", label="stable")
    m.reload([a])
    with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
        version_of(m, "a", label="stable")


NOT_AVAILABLE = "FAILED_PRECONDITION: Request to assign label to version 3 of model a, which is not currently"


def test_a_label_needs_an_available_version(manager, settings):
    m = manager()
    with pytest.raises(ServingError, match=NOT_AVAILABLE):
        m.reload([settings("a", 2, labels={"stable": 3})])
    assert m.registry.models == []  # nothing was changed
    lenient = manager(allows_unavailable_labels=True)
    lenient.reload([settings("a", 2, labels={"stable": 3})])
    with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(a, 3\)"):
        version_of(lenient, "a", label="stable")
    lenient.reload([settings("a", 2, labels={"stable": 3})])  # the same list again
    with pytest.raises(ServingError, match="assign label to version 4 of model a, which is not"):  # no move
        lenient.reload([settings("a", 2, labels={"stable": 4})])


def test_a_model_that_goes_takes_its_thread_along(manager, settings):
    def threads():
        return [thread.name for thread in threading.enumerate()]

    m = manager()
    both = [settings("here", 2), settings("gone", 3)]
    m.reload(both)
    assert "watch-gone" in threads()
    m.reload(both[:1])
    wait_until(lambda: "watch-gone" not in threads())
    assert states(m, "gone") == {3: State.END}
    assert "watch-here" in threads()
    m.reload(both[:1])
    assert "watch-gone" not in threads()
    m.reload(both)
    assert version_of(m, "gone") == 3
    settings("gone", 5)
    wait_until(lambda: states(m, "gone").get(5) is State.AVAILABLE)


def test_retries_put_no_look_off(manager, settings):
    """Of a version that fails again and again; a good one that comes meanwhile is found."""

    def load_odd(name, version, directory):
        if version % 2 == 0:
            raise ServingError(Code.DATA_LOSS, "no good")
        return FakeServable(name, version)

    m = manager(wait_seconds=0.2, retries=Retries(10**6, 0.01))
    m._load = load_odd
    m.apply([settings("a", 2)])
    wait_until(lambda: m.registry.find("a") and states(m, "a") == {2: State.LOADING})
    settings("a", 5)
    wait_until(lambda: states(m, "a").get(5) is State.AVAILABLE)
    assert version_of(m, "a") == 5


def test_a_caller_that_leaves_waits_no_longer(manager, settings):
    m, caller = manager(), Caller()
    threading.Timer(0.05, caller.leave).start()
    with working_for(caller), pytest.raises(ServingError, match=r"CANCELLED: The caller went away\."):
        m.reload([settings("nowhere")])


def test_a_round_that_fails_is_not_the_last(manager, settings, caplog):
    m = manager()
    m.reload([settings("a", 2)])
    model = m.registry.find("a")
    poll, failures = model.poll, []

    def fail_once(look):
        if not failures:
            failures.append(look)
            raise RuntimeError("surprise")
        return poll(look)

    model.poll = fail_once
    settings("a", 5)
    wait_until(lambda: 5 in states(m, "a"))
    assert "Looking after model a failed; it is tried again." in caplog.text
