"""Only what a dead process of this machine left is removed."""

import fcntl
import logging
import os
import shutil
import subprocess
import sys

import pytest

from keras_attn.export import versions
from keras_attn.export.versions import remove_leftovers, temporary_folder


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def left(folder, process, name="m-3", host=None):
    path = folder / f".{name}-{host or versions._host()}-{process}-abc_1234"
    path.mkdir()
    (path / "saved_model.pb").write_text("half")
    return path


def test_a_folder_is_there_while_the_block_runs(tmp_path):
    with temporary_folder(tmp_path, "m-3") as path:
        assert path.parent == tmp_path
        assert path.name.startswith(f".m-3-{versions._host()}-{os.getpid()}-")
        remove_leftovers(tmp_path, r"m-\d+")
        assert path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_that_of_a_dead_process_is_removed(tmp_path, dead):
    paths = [left(tmp_path, dead), left(tmp_path, dead, "m-17")]
    remove_leftovers(tmp_path, r"m-\d+")
    assert not any(path.exists() for path in paths)


def test_all_others_are_left_alone(tmp_path, dead):
    paths = [
        left(tmp_path, os.getpid()),
        left(tmp_path, 1),  # nobody's that could be asked, unless root runs this
        left(tmp_path, dead, host="elsewhere"),
        left(tmp_path, dead, name="n-3"),
        left(tmp_path, dead, name="m-x"),
        left(tmp_path, dead).rename(tmp_path / "m-3"),
    ]
    file = tmp_path / f".m-3-{versions._host()}-{dead}-file"
    file.write_text("no folder")
    remove_leftovers(tmp_path, r"m-\d+")
    assert all(path.is_dir() for path in paths)
    assert file.exists()


def test_that_of_a_process_that_is_not_seen_but_holds_the_lock_is_left_alone(tmp_path, dead):
    path = left(tmp_path, dead)
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    remove_leftovers(tmp_path, r"m-\d+")
    assert path.exists()
    os.close(descriptor)
    remove_leftovers(tmp_path, r"m-\d+")
    assert not path.exists()


def test_a_process_of_somebody_else_is_alive(monkeypatch):
    def refuse(process, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert versions._is_alive(7)


def test_a_file_system_without_locks(tmp_path, dead, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with temporary_folder(tmp_path, "m-3") as path:
        assert path.is_dir()
    assert not path.exists()
    path = left(tmp_path, dead)
    remove_leftovers(tmp_path, r"m-\d+")
    assert path.exists()  # whether anybody holds it cannot be known


def test_what_cannot_be_removed_is_told_and_stops_no_export(tmp_path, dead, monkeypatch, caplog):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    path = left(tmp_path, dead)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with caplog.at_level(logging.WARNING, "keras_attn.export"):
        remove_leftovers(tmp_path, r"m-\d+")
    assert f"{path} is left of an export that was killed and cannot be removed" in caplog.text
