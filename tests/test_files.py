"""Files that are written whole or not at all."""

from pathlib import Path

import pytest

from keras_attn.files import written_whole


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.keras"


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def fail(path, error, write):
    with written_whole(path) as temporary:
        write(temporary)
        assert temporary.exists()
        raise error


def test_the_name_appears_when_the_block_ends(path):
    path.write_text("old")
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".keras"
    assert (path.read_text(), names(path)) == ("new", ["a.keras"])


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_alone(path, error):
    path.write_text("old")
    with pytest.raises(error):
        fail(path, error, lambda temporary: temporary.write_text("half"))
    assert (path.read_text(), names(path)) == ("old", ["a.keras"])


def test_a_folder_after_a_kill(path):
    half = path.with_name(".a.keras")
    half.mkdir()
    (half / "left").write_text("of a writer that was killed")
    with written_whole(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("")
    assert (names(path), [file.name for file in path.iterdir()]) == (["a.keras"], ["new"])


def test_an_error_removes_a_folder(path):
    with pytest.raises(OSError, match="full"):
        fail(path, OSError("full"), Path.mkdir)
    assert names(path) == []


def test_a_block_that_writes_nothing(path):
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass
