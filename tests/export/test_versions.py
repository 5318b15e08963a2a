"""A version appears whole or not at all."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from keras_attn.export.versions import BasePathError, check_format, next_version, published


@pytest.fixture
def base(tmp_path):
    return tmp_path / "models" / "tiny"


def publish(base, version):
    with published(base, version) as (temporary, final):
        (temporary / "saved_model.pb").write_text("graph")
        (temporary / "variables").mkdir()
        (temporary / "variables" / "data").write_text("weights")
        assert not final.exists()
    return final


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_version_is_there_after_the_block_and_nothing_else(base, tmp_path):
    assert publish(base, 3) == base / "3"
    names = ["3", "3/saved_model.pb", "3/variables", "3/variables/data"]
    assert everything_in(base) == names
    assert [path.name for path in tmp_path.rglob("*") if path.is_dir()] == [
        "models",
        "tiny",
        "3",
        "variables",
    ]
    assert (base / "3" / "variables" / "data").read_text() == "weights"


def test_the_base_path_shows_nothing_while_the_version_is_written(base):
    publish(base, 1)
    with published(base, 2) as (temporary, _):
        (temporary / "saved_model.pb").write_text("half")
        assert [path.name for path in base.iterdir()] == ["1"]
        assert temporary.stat().st_dev == base.stat().st_dev  # so the rename is atomic


def test_others_may_read_the_version(base):
    assert publish(base, 1).stat().st_mode & 0o777 == 0o755


def test_a_base_path_that_is_a_file_is_refused_before_anything_is_written(base, tmp_path):
    base.parent.mkdir()
    base.write_text("")
    with (
        pytest.raises(BasePathError, match=f"{base} is a file, expected a folder. Give another"),
        published(base, 1),
    ):
        pytest.fail("the work has begun")
    assert everything_in(tmp_path) == ["models", "models/tiny"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_nothing_is_left_when_the_block_raises(base, tmp_path, error):
    def fail(folder):
        (folder / "saved_model.pb").write_text("half")
        raise error

    with pytest.raises(error), published(base, 5) as (temporary, _):
        fail(temporary)
    assert everything_in(tmp_path) == ["models"]


def test_an_earlier_version_survives_a_failure(base):
    publish(base, 1)
    before = everything_in(base)
    with pytest.raises(RuntimeError), published(base, 2):
        raise RuntimeError
    assert everything_in(base) == before


def test_nothing_is_left_when_the_version_appears_meanwhile(base, tmp_path):
    with pytest.raises(OSError, match="1"), published(base, 1):
        (base / "1" / "other").mkdir(parents=True)
    assert everything_in(tmp_path) == ["models", "models/tiny", "models/tiny/1", "models/tiny/1/other"]


def test_a_version_that_exists(base):
    publish(base, 7)
    with pytest.raises(BasePathError, match=r"Version 7 exists already.*Give another `version`"):
        publish(base, 7)
    assert [path.name for path in base.iterdir()] == ["7"]


@pytest.mark.parametrize("version", [0, -3, "7", 2.0, None, True])
def test_wrong_versions(base, version):
    with pytest.raises(ValueError, match=f"`version` must be a whole number of at least 1.*{version!r}"):
        publish(base, version)
    assert not base.exists()


def test_a_base_path_in_a_folder_that_cannot_be_written_to(base, monkeypatch):
    """Such as a volume's mount point: the version is written inside then, under a name that is none."""
    publish(base, 1)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != base.parent)
    with published(base, 2) as (temporary, _):
        assert temporary.parent == base
        assert temporary.name.startswith(".tiny-2-")
        assert next_version(base) == 2
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_a_base_path_on_another_disk(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        link = tmp_path / "dates"
        link.symlink_to(disk, target_is_directory=True)
        assert publish(link, 1) == link / "1"
        assert everything_in(Path(disk))[0] == "1"


def test_formats_do_not_share_a_base_path(base):
    publish(base, 1)
    check_format(base, "saved_model.pb")
    check_format(base / "nothing", "model.bin")
    with pytest.raises(BasePathError, match=r"holds a SavedModel as a version\. .* for a CTranslate2 model"):
        check_format(base, "model.bin")


def test_next_version(base):
    assert next_version(base) == 1
    for version in (1, 7, 10):
        publish(base, version)
    (base / "notes").mkdir()
    (base / "11.part").mkdir()
    assert next_version(str(base)) == 11


def test_a_relative_base_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert publish("tiny", 1) == tmp_path / "tiny" / "1"
    assert everything_in(tmp_path) == ["tiny", *(f"tiny/{name}" for name in everything_in(tmp_path / "tiny"))]


def test_a_full_disk_leaves_nothing(base, tmp_path, monkeypatch):
    """A disk may say that it is full only when it is told to keep what was written."""
    publish(base, 1)
    before = everything_in(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        publish(base, 2)
    assert everything_in(tmp_path) == before


WRITING = """
import signal, sys
from keras_attn.export.versions import published
with published(sys.argv[1], 2) as (temporary, _):
    (temporary / "saved_model.pb").write_text("half")
    print(temporary, flush=True)
    signal.pause()
"""


def test_the_folder_of_another_process_is_left_alone_until_that_is_killed(base):
    publish(base, 1)
    command = [sys.executable, "-c", WRITING, base]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        temporary = Path(writer.stdout.readline().strip())
        publish(base, 3)
        assert [path.name for path in temporary.iterdir()] == ["saved_model.pb"]
        writer.kill()
    assert sorted(path.name for path in base.iterdir()) == ["1", "3"]
    assert temporary.name.startswith(".tiny-2-")
    for other in ("other", "tiny-2"):  # another model's, though its name begins alike
        publish(base.with_name(other), 1)
        assert temporary.exists()
    assert publish(base, 2) == base / "2"
    assert sorted(path.name for path in base.parent.iterdir()) == ["other", "tiny", "tiny-2"]
