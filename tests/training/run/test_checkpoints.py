"""Checkpoints: which is the last, what is kept, what a kill leaves."""

import errno

import numpy as np
import pytest

from keras_attn.training.run.checkpoints import Checkpoint, Checkpoints


class Recorder:
    """Stands in for a model: its files hold its number."""

    def __init__(self, number):
        self.number = number

    def save(self, path):
        path.write_text(str(self.number))

    save_weights = save


class Full(Recorder):
    """A model for which the disk has no room."""

    def save(self, path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    save_weights = save


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def save(checkpoints, number, *place, **more):
    checkpoints.save(Recorder(number), *place, **more)


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_before_the_first(checkpoints):
    assert checkpoints.latest() == Checkpoint(0, 0, None)
    assert checkpoints.weights() == {}


def test_only_the_last_is_kept(checkpoints):
    for number, place in enumerate([(0, 7), (0, 14), (1,), (1, 7), (2,)]):
        state = {"number": np.array(number)} if len(place) == 2 else None
        save(checkpoints, number, *place, **({"state": state} if state else {}))
        latest = checkpoints.latest()
        assert (latest.epoch, latest.step) == (*place, 0)[:2]
        assert latest.path.read_text() == str(number)
        if state:
            assert int(checkpoints.state(latest)["number"]) == number
            assert len(names(checkpoints)) == 2
    assert names(checkpoints) == ["epoch-0002.keras"]


def test_steps_come_after_the_epoch_that_they_follow(checkpoints):
    save(checkpoints, 1, 10)
    for name in ("epoch-0010-step-00000003.keras", "epoch-0009-step-00000099.keras", "epoch-0009.keras"):
        (checkpoints.folder / name).write_text("")
    assert checkpoints.latest()[:2] == (10, 3)


def test_a_kill_before_the_name_leaves_the_one_before(checkpoints):
    save(checkpoints, 1, 1)
    with checkpoints.saving(Recorder(2), 1, 7, {"number": np.array(2)}) as saved:
        assert saved.read_text() == "2"
        assert checkpoints.latest()[:2] == (1, 0)
        assert checkpoints.latest().path.read_text() == "1"
    assert checkpoints.latest()[:2] == (1, 7)


def test_weights_that_are_to_be_averaged(checkpoints):
    for epoch, epochs in enumerate([{1}, {1, 2}, {2, 3}, {2, 3}], start=1):
        save(checkpoints, epoch, epoch)
        checkpoints.keep_weights(Recorder(epoch), epoch, epochs)
    kept = checkpoints.weights()
    assert {epoch: path.read_text() for epoch, path in kept.items()} == {2: "2", 3: "3"}
    assert names(checkpoints) == ["epoch-0002.weights.h5", "epoch-0003.weights.h5", "epoch-0004.keras"]


def test_a_full_disk_keeps_nothing_half_written(checkpoints, monkeypatch):
    save(checkpoints, 1, 1)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(Full(2), 2)
    with pytest.raises(OSError, match="No space"):
        checkpoints.keep_weights(Full(2), 2, {2})
    assert names(checkpoints) == ["epoch-0001.keras"]

    def savez(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(OSError, match="No space"):
        save(checkpoints, 2, 1, 7, state={"number": np.array(2)})
    assert names(checkpoints) == ["epoch-0001.keras"]
