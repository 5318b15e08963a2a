from __future__ import annotations

import logging
from pathlib import Path

import pytest

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.registry import ModelSpec, Registry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.version_policy import AllVersions, LatestVersions, SpecificVersions
from keras_attn.serving.models.version_state import State
from keras_attn.serving.models.version_table import Retries


class FakeServable:
    def __init__(self, version, directory):
        self.version = version
        self.directory = directory
        self.is_closed = False

    def close(self):
        self.is_closed = True


class FakeLoader:
    """Loads anything but directories that hold a file named `broken`; remembers what it did."""

    def __init__(self):
        self.loaded = []

    def __call__(self, name, version, directory):
        if (Path(directory) / "broken").exists():
            raise ServingError(Code.DATA_LOSS, "no good")
        self.loaded.append(FakeServable(version, directory))
        return self.loaded[-1]


@pytest.fixture
def model(tmp_path):
    return ServedModel("m", str(tmp_path), FakeLoader())


def states(model):
    return {status.version: status.state for status in model.statuses()}


def add(tmp_path, version, is_broken=False):
    (tmp_path / str(version)).mkdir(parents=True)
    if is_broken:
        (tmp_path / str(version) / "broken").touch()


def test_the_latest_version_replaces_the_old_one(model, tmp_path):
    add(tmp_path, 2)
    add(tmp_path, 3)
    model.poll()
    assert states(model) == {3: State.AVAILABLE}
    add(tmp_path, 5)
    model.poll()
    assert states(model) == {5: State.AVAILABLE, 3: State.END}
    with model.use(None) as servable:
        assert servable.version == 5
    with model.use(3) as servable:
        assert servable is None


def test_a_request_in_flight_keeps_its_version(model, tmp_path):
    add(tmp_path, 1)
    model.poll()
    with model.use(None) as servable:
        add(tmp_path, 2)
        model.poll()
        assert states(model)[1] is State.UNLOADING
        assert not servable.is_closed
        with model.use(1) as refused:
            assert refused is None
    assert servable.is_closed
    assert states(model) == {2: State.AVAILABLE, 1: State.END}


def test_a_broken_version_is_reported_and_the_served_one_stays(model, tmp_path):
    add(tmp_path, 1)
    model.poll()
    add(tmp_path, 2, is_broken=True)
    assert model.poll() == ["Model m version 2 could not be loaded: DATA_LOSS: no good"]
    assert model.poll() == []  # not tried again
    broken, served = model.statuses()
    assert (broken.state, broken.code, broken.message) == (State.END, Code.DATA_LOSS, "no good")
    assert served.state is State.AVAILABLE
    (tmp_path / "2" / "broken").unlink()
    model.poll()
    assert states(model) == {2: State.AVAILABLE, 1: State.END}


def test_a_broken_version_that_comes_back_is_tried_again(model, tmp_path):
    add(tmp_path, 1)
    add(tmp_path, 2, is_broken=True)
    model.poll()
    (tmp_path / "2").rename(tmp_path / "gone")
    model.poll()
    assert states(model) == {2: State.END, 1: State.AVAILABLE}
    (tmp_path / "gone" / "broken").unlink()
    (tmp_path / "gone").rename(tmp_path / "2")
    model.poll()
    assert states(model)[2] is State.AVAILABLE


def test_removing_the_latest_version_brings_the_one_before_back(model, tmp_path):
    add(tmp_path, 1)
    model.poll()
    add(tmp_path, 2)
    model.poll()
    (tmp_path / "2").rmdir()
    model.poll()
    assert states(model) == {2: State.END, 1: State.AVAILABLE}


def test_a_base_path_that_is_gone_changes_nothing(model, tmp_path, caplog):
    add(tmp_path, 1)
    model.poll()
    model.base_path = str(tmp_path / "elsewhere")
    model.poll()
    assert states(model) == {1: State.AVAILABLE}
    assert "Could not read the base path" in caplog.text
    assert "No such file or directory. Nothing was loaded or unloaded." in caplog.text


def test_an_empty_base_path_unloads(model, tmp_path, caplog):
    add(tmp_path, 1)
    model.poll()
    (tmp_path / "1").rmdir()
    model.poll()
    assert states(model) == {1: State.END}
    assert "No versions of model m found under base path" in caplog.text


def test_close_waits_for_requests(model, tmp_path):
    add(tmp_path, 1)
    model.poll()
    with model.use(None):
        assert not model.close(0.0)
    assert model.close(0.0)


def test_registry_errors(model, tmp_path):
    registry = Registry([model])
    with (
        pytest.raises(ServingError, match=r"NOT_FOUND: Servable not found for request: Latest\(m\)"),
        registry.use(ModelSpec("m")),
    ):
        pass
    with (
        pytest.raises(ServingError, match=r"Servable not found for request: Specific\(x, 3\)"),
        registry.use(ModelSpec("x", 3)),
    ):
        pass
    with pytest.raises(ServingError, match="Could not find any versions of model m"):
        registry.statuses(ModelSpec("m"))


def test_policies(model, tmp_path):
    for version in (2, 3, 5, 7):
        add(tmp_path, version)
    model.configure(str(tmp_path), LatestVersions(2))
    model.poll()
    assert states(model) == {7: State.AVAILABLE, 5: State.AVAILABLE}
    model.configure(str(tmp_path), SpecificVersions(frozenset({2, 7, 11})))
    model.poll()
    assert states(model) == {7: State.AVAILABLE, 5: State.END, 2: State.AVAILABLE}
    model.configure(str(tmp_path), AllVersions())
    model.poll()
    assert set(states(model).values()) == {State.AVAILABLE}
    assert [servable.version for servable in model._load.loaded] == [7, 5, 2, 5, 3]  # the highest first
    model.configure(str(tmp_path), None)
    model.poll()
    assert set(states(model).values()) == {State.END}


def test_negative_versions_are_the_oldest(model, tmp_path):
    for version in (-7, -2):
        add(tmp_path, version)
    model.configure(str(tmp_path), AllVersions())
    model.poll()
    registry = Registry([model])
    for asked, got in ((None, -2), (-7, -7)):
        with registry.use(ModelSpec("m", asked)) as servable:
            assert servable.version == got
    assert [status.version for status in registry.statuses(ModelSpec("m"))] == [-2, -7]
    add(tmp_path, 0)
    model.configure(str(tmp_path), LatestVersions(2))
    model.poll()
    assert states(model) == {0: State.AVAILABLE, -2: State.AVAILABLE, -7: State.END}


def test_none_of_the_versions_that_are_asked_for(model, tmp_path, caplog):
    add(tmp_path, 2)
    model.configure(str(tmp_path), SpecificVersions(frozenset({3})))
    model.poll()
    assert states(model) == {}
    assert "has none of the versions that are asked for: [2]" in caplog.text


def test_a_warning_is_not_repeated_in_every_look(model, caplog):
    model.poll()
    model.poll()
    assert caplog.text.count("No versions of model m found") == 1


def test_a_version_that_does_not_load_is_tried_again(tmp_path):
    model = ServedModel("m", str(tmp_path), FakeLoader(), retries=Retries(2, 0.0))
    add(tmp_path, 3, is_broken=True)
    assert model.poll()[0].endswith("DATA_LOSS: no good (tried again in 0 s, 2 more times at most)")
    assert states(model) == {3: State.LOADING}
    assert model.seconds_to_retry() == 0.0
    assert model.poll(look=False)[0].endswith("1 more times at most)")
    assert model.poll(look=False)[0].endswith("DATA_LOSS: no good")
    assert states(model) == {3: State.END}
    assert model.seconds_to_retry() == float("inf")
    assert model.poll() == []


def test_a_retry_waits_its_time_unless_the_files_change(tmp_path):
    model = ServedModel("m", str(tmp_path), FakeLoader(), retries=Retries(2, 61.0))
    add(tmp_path, 3, is_broken=True)
    model.poll()
    assert model.poll() == []
    assert 50.0 < model.seconds_to_retry() <= 61.0
    (tmp_path / "3" / "broken").unlink()
    model.poll()
    assert states(model) == {3: State.AVAILABLE}


def test_a_newer_version_does_not_wait_for_a_broken_one(tmp_path):
    model = ServedModel("m", str(tmp_path), FakeLoader(), retries=Retries(2, 61.0))
    add(tmp_path, 3, is_broken=True)
    model.poll()
    add(tmp_path, 5)
    model.poll()
    assert states(model) == {5: State.AVAILABLE, 3: State.END}
    assert model.statuses()[1].code is Code.CANCELLED


def test_a_model_that_comes_back_is_tried_anew(model, tmp_path):
    add(tmp_path, 3, is_broken=True)
    model.poll()
    model.configure(str(tmp_path), None)
    model.poll()
    model.configure(str(tmp_path), LatestVersions())
    assert model.statuses() == []
    assert len(model.poll()) == 1


def served_from(model, version=None):
    with model.use(version) as servable:
        return servable and servable.directory


@pytest.fixture
def moving(tmp_path):
    """A model that answers from `a`, with tries for what does not load; `b` is empty."""
    add(tmp_path / "a", 1)
    model = ServedModel("m", str(tmp_path / "a"), FakeLoader(), AllVersions(), Retries(1, 61.0))
    model.poll()
    (tmp_path / "b").mkdir()
    return model


def test_the_same_version_in_another_base_path_takes_over(tmp_path, caplog):
    class Watched(FakeLoader):
        def __call__(self, name, version, directory):
            before.append((served_from(model), states(model)))
            return super().__call__(name, version, directory)

    before = []
    a, b = tmp_path / "a", tmp_path / "b"
    add(a, 1)
    add(b, 1)
    model = ServedModel("m", str(a), Watched())
    model.poll()
    model.configure(str(b), LatestVersions())
    with caplog.at_level(logging.INFO, "keras_attn.serving"):
        model.poll()
        model.poll()
    assert before == [(None, {1: State.LOADING}), (f"{a}/1", {1: State.AVAILABLE})]  # it never goes away
    assert (served_from(model), states(model)) == (f"{b}/1", {1: State.AVAILABLE})
    assert [servable.is_closed for servable in model._load.loaded] == [True, False]
    assert f"Model m version 1 is available from {b}/1, in place of {a}/1." in caplog.text
    assert f"Model m version 1 of {a}/1 was unloaded." in caplog.text


@pytest.mark.parametrize("link", ["current", "current/1"])
def test_a_link_that_moves_is_followed(tmp_path, link):
    for name in "ab":
        add(tmp_path / name, 1)
    link = tmp_path / link
    link.parent.mkdir(exist_ok=True)
    within = "1" if link.name == "1" else ""
    link.symlink_to(tmp_path / "a" / within)
    model = ServedModel("m", str(tmp_path / "current"), FakeLoader())
    for name in "aba":
        link.unlink()
        link.symlink_to(tmp_path / name / within)
        model.poll()
        model.poll()
        assert served_from(model) == str(tmp_path / name / "1")
    assert len(model._load.loaded) == 3


def test_another_way_to_the_same_directory_changes_nothing(moving, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    moving.configure(str(tmp_path / "link"), AllVersions())
    moving.poll()
    assert len(moving._load.loaded) == 1


def test_a_broken_version_elsewhere_replaces_nothing(moving, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    add(a, 2)
    moving.poll()
    add(b, 1, is_broken=True)
    moving.configure(str(b), AllVersions())
    assert moving.poll() == [
        f"Model m version 1 could not be loaded from {b}/1, and that of {a}/1 stays: DATA_LOSS: no good"
        " (tried again in 61 s, 1 more times at most)"
    ]
    assert 50.0 < moving.seconds_to_retry() <= 61.0
    assert states(moving) == {2: State.AVAILABLE, 1: State.AVAILABLE}  # as nothing there is ready
    assert served_from(moving) == f"{a}/2"
    (b / "1" / "broken").unlink()
    assert moving.poll() == []
    assert states(moving) == {2: State.END, 1: State.AVAILABLE}
    assert served_from(moving) == f"{b}/1"


def test_a_base_path_that_comes_back_ends_the_attempts(moving, tmp_path):
    add(tmp_path / "b", 1, is_broken=True)
    moving.configure(str(tmp_path / "b"), AllVersions())
    moving.poll()
    moving.configure(str(tmp_path / "a"), AllVersions())
    moving.poll()
    assert moving.seconds_to_retry() == float("inf")
    assert (served_from(moving), len(moving._load.loaded)) == (f"{tmp_path}/a/1", 1)
    moving.configure(str(tmp_path / "b"), AllVersions())
    assert len(moving.poll()) == 1  # tried anew


def test_what_failed_elsewhere_is_tried_anew_where_the_files_differ_or_the_place(tmp_path):
    for name in "ab":
        add(tmp_path / name, 1, is_broken=True)
    model = ServedModel("m", str(tmp_path / "a"), FakeLoader(), retries=Retries(1, 61.0))
    assert len(model.poll()) == 1
    model.configure(str(tmp_path / "b"), LatestVersions())
    assert model.poll()[0].endswith("1 more times at most)")  # those of `a` do not count
    (tmp_path / "b" / "1" / "broken").unlink()
    model.poll()
    assert served_from(model) == f"{tmp_path}/b/1"


def test_a_request_in_flight_keeps_the_version_that_was_replaced(moving, tmp_path):
    add(tmp_path / "b", 1)
    with moving.use(1) as old:
        moving.configure(str(tmp_path / "b"), AllVersions())
        moving.poll()
        assert served_from(moving) == f"{tmp_path}/b/1"
        assert not old.is_closed
        assert not moving.close(0.0)  # waits for it, too
    assert old.is_closed
    assert moving.close(0.0)
