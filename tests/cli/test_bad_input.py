"""Input that cannot be used: one clear sentence, a non-zero exit, no traceback."""

import gzip
import io
import json
import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe whose `[data]` has the given lines."""

    def write(*data_lines):
        path = tmp_path / "recipe.toml"
        folder = f'folder = "{tmp_path}"'
        path.write_text("\n".join(["[data]", folder, *data_lines]), encoding="utf-8")
        return path

    return write


def check_one_sentence(ran, *parts):
    assert ran.code == 1
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    for part in parts:
        assert part in ran.err


def test_missing_recipe(keras_attn, tmp_path):
    check_one_sentence(keras_attn("train", tmp_path / "none.toml"), "none.toml", "does not exist")


def test_unknown_key_names_the_near_miss(keras_attn, recipe):
    ran = keras_attn("train", recipe('train = { path = "a.tsv" }'), "--set", "training.epoch=3")
    check_one_sentence(ran, "training.epoch", "Did you mean `epochs`?")


def test_missing_file_leaves_no_run_folder(keras_attn, recipe, tmp_path):
    path = recipe('train = { path = "pears.tsv" }')
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    ran = keras_attn("train", path, "--run", tmp_path / "run")
    check_one_sentence(ran, "pears.tsv", "not found", "pairs.tsv")
    assert not (tmp_path / "run").exists()


def test_unequal_line_counts_name_the_line(keras_attn, recipe, tmp_path):
    (tmp_path / "a.de").write_text("eins\nzwei\ndrei\n")
    with gzip.open(tmp_path / "a.en.gz", "wt") as file:
        file.write("one\ntwo\n")
    ran = keras_attn("train", recipe('train = { source = "a.de", target = "a.en.gz" }'))
    check_one_sentence(ran, "3", "2")


def test_empty_file(keras_attn, recipe, tmp_path):
    (tmp_path / "pairs.tsv").write_text("")
    check_one_sentence(keras_attn("train", recipe('train = { path = "pairs.tsv" }')), "empty")


def test_cp949_is_named_with_the_cure(keras_attn, recipe, tmp_path):
    (tmp_path / "pairs.tsv").write_bytes("안녕하세요 여러분\thello everybody\n".encode("cp949"))
    ran = keras_attn("train", recipe('train = { path = "pairs.tsv" }'))
    check_one_sentence(ran, "CP949", "iconv")


@pytest.mark.parametrize("command", ["evaluate", "translate", "export"])
def test_no_run_folder(keras_attn, command, tmp_path):
    check_one_sentence(keras_attn(command, tmp_path / "nothing"), "no run folder")


def test_run_of_another_recipe(keras_attn, tiny_run):
    ran = keras_attn("train", tiny_run / "recipe.toml", "--set", "model.units=12", "--run", tiny_run)
    check_one_sentence(ran, "another recipe", "model.units: 11 != 12")


def test_held_out_pairs_that_may_have_been_trained_on(keras_attn, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    held = json.loads((run / "pairs.json").read_text())
    (run / "pairs.json").write_text(json.dumps(held | {"test": "of other pairs"}))
    check_one_sentence(
        keras_attn("evaluate", run), "test pairs are held out of data.train, which has changed"
    )


def test_text_that_is_too_long(keras_attn, tiny_run):
    ran = keras_attn("translate", tiny_run, "x" * 1000)
    check_one_sentence(ran, "`text` is too long", "41 tokens", "1000")


def test_input_that_is_no_utf8(keras_attn, tiny_run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("caf\xe9\n".encode("latin-1"))))
    check_one_sentence(keras_attn("translate", tiny_run), "Standard input is no UTF-8", "iconv")


def test_a_picture_in_no_folder(keras_attn, tiny_run, tmp_path):
    path = tmp_path / "none" / "a.html"
    check_one_sentence(
        keras_attn("translate", tiny_run, "--html", path, "x"), f"There is no folder for {path}"
    )


def test_an_export_to_a_file(keras_attn, tiny_run, tmp_path):
    (tmp_path / "file").write_text("")
    check_one_sentence(
        keras_attn("export", tiny_run, "--to", tmp_path / "file" / "m"), f"{tmp_path / 'file'} is a file"
    )


@pytest.mark.parametrize(("command", "option"), [("train", "--run"), ("demo", "--run"), ("export", "--to")])
def test_a_file_where_a_folder_is_to_be_written(keras_attn, recipe, tmp_path, monkeypatch, command, option):
    """Told before the work: there are no pairs and no run that could be read."""
    monkeypatch.setattr("keras_attn.quiet.import_tensorflow", lambda: pytest.fail("it went to work"))
    path, what = tmp_path / "a file", {"train": recipe('train = { path = "none.tsv" }'), "export": "no_run"}
    path.write_text("")
    ran = keras_attn(command, *([what[command]] if command in what else []), option, path)
    check_one_sentence(ran, f"{path} is a file, expected a folder. Give another {option}.")


def test_options_that_would_change_nothing(keras_attn, tiny_run, tmp_path):
    for arguments, message in (
        (("evaluate", tiny_run, "--length-penalty", "1"), "--length-penalty is of a beam"),
        (("verify", tmp_path, "--checkpoint", "last"), "--checkpoint is of --run"),
    ):
        ran = keras_attn(*arguments)
        assert ran.code == 2
        assert message in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it is a disk that is full")
def test_a_full_disk(keras_attn, tiny_run):
    ran = keras_attn("translate", tiny_run, "--html", "/dev/full", "house")
    check_one_sentence(ran, f"could not be written: {os.strerror(28)}", "Free some space")


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EROFS"])
def test_tensorflow_on_a_full_disk(keras_attn, tiny_run, tmp_path, monkeypatch, number):
    import errno

    import tensorflow as tf

    words = os.strerror(getattr(errno, number))

    def export(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, f"/m/part-0; {words} [Op:SaveV2]")

    monkeypatch.setattr("keras_attn.export.export_saved_model", export)
    ran = keras_attn("export", tiny_run, "--to", tmp_path / "m")
    check_one_sentence(ran, f"A file could not be written: {words}. Free some space")


def test_a_full_memory_is_no_full_disk(keras_attn, tiny_run, tmp_path, monkeypatch):
    import tensorflow as tf

    def export(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr("keras_attn.export.export_saved_model", export)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        keras_attn("export", tiny_run, "--to", tmp_path / "m")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "--url", "grpc://localhost:9", "\udcff\udcfe"),
        ("query", "--model", "\udcff\udcfe", "x"),
        ("translate", "no_run", "\udcff\udcfe"),
    ],
)
def test_arguments_that_are_no_utf8(keras_attn, arguments):
    ran = keras_attn(*arguments)
    assert ran.code == 2
    place = arguments.index("\udcff\udcfe") + 1
    assert ran.err.startswith(f"Error: Argument {place} is no UTF-8. Expected text. Received: b'\\xff\\xfe'.")
    assert ran.err.count("\n") == 1


def test_no_server(keras_attn):
    check_one_sentence(keras_attn("query", "--url", "http://localhost:9", "x"), "No server answers")
    check_one_sentence(keras_attn("query", "--url", "grpc://localhost:9", "x"), "UNAVAILABLE")


def test_serve_refuses_what_holds_no_version(keras_attn, tmp_path):
    (tmp_path / "notes.txt").write_text("no model")
    ran = keras_attn("serve", f"--model_base_path={tmp_path}")
    check_one_sentence(ran, "holds no SavedModel version", "keras-attn export")
    ran = keras_attn("serve", f"--model_base_path={tmp_path / 'notes.txt'}")
    check_one_sentence(ran, "is a file")
    (tmp_path / "saved_model.pb").write_text("")
    ran = keras_attn("serve", "--model_base_path", tmp_path)
    check_one_sentence(ran, "is a version itself", f"Give {tmp_path.parent}")


def test_wrong_calls_exit_with_2(keras_attn):
    assert keras_attn("frobnicate").code == 2
    assert keras_attn("query", "--url", "ftp://a", "x").code == 2


def test_a_defect_keeps_its_traceback(keras_attn, tiny_run, monkeypatch):
    from keras_attn.text_to_text import TextToText

    def broken(self, texts):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(TextToText, "__call__", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        keras_attn("translate", tiny_run, "house")
