"""The road of a user's own pairs: train, resume, evaluate, translate, export."""

import io
import json
import re
import shlex
import subprocess
import sys

import pytest

from keras_attn.training import RunFolder


def test_train_writes_a_run_folder_that_says_it_all(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    assert {"recipe.toml", "tokenizer", "checkpoints", "best.keras", "history.json"} <= names
    assert names <= set(re.findall(r"^    ([\w.]+)/?  ", RunFolder.__doc__, re.MULTILINE))
    (entry,) = json.loads((tiny_run / "history.json").read_text())
    assert entry["epoch"] == 1
    assert entry["val_loss"] > 0


def test_train_again_repeats_nothing(keras_attn, tiny_run):
    before = (tiny_run / "best.keras").read_bytes()
    ran = keras_attn("train", tiny_run / "recipe.toml", "--run", tiny_run)
    assert ran.code == 0
    assert "Resuming after epoch 1 of 1" in ran.out
    assert (tiny_run / "best.keras").read_bytes() == before


def test_evaluate_writes_scores_with_their_signature(keras_attn, tiny_run):
    ran = keras_attn("evaluate", tiny_run)
    assert ran.code == 0
    scores = json.loads((tiny_run / "scores.json").read_text())["test"]
    assert scores["pairs"] == 5
    assert scores["bleu_signature"] in ran.out
    rows = (tiny_run / "translations.test.tsv").read_text(encoding="utf-8").splitlines()
    assert [len(row.split("\t")) for row in rows] == [3] * 5


def test_translate_arguments_and_standard_input_agree(keras_attn, tiny_run, monkeypatch):
    texts = ["house water", "", "mountain"]
    given = keras_attn("translate", tiny_run, *texts)
    lines = "\ufeff" + "".join(f"{text}\n" for text in texts)  # with a byte order mark
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    read = keras_attn("translate", tiny_run)
    assert given.code == read.code == 0
    assert given.out == read.out
    assert given.out.count("\n") == 3
    assert given.out.split("\n")[1] == ""


def test_translate_draws_the_attention(keras_attn, tiny_run, tmp_path):
    ran = keras_attn("translate", tiny_run, "house", "--alignment", "--html", tmp_path / "a.html")
    assert ran.code == 0
    assert "house" in ran.out
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count("<table") == 1


def test_export_numbers_versions_and_refuses_to_overwrite(
    keras_attn, tiny_run, tmp_path, two_signatures, unchecked
):
    base = tmp_path / "models" / "tiny"
    assert keras_attn("export", tiny_run, "--to", base).code == 0
    with unchecked():
        assert keras_attn("export", tiny_run, "--to", base).code == 0
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
    assert [path.name for path in base.parent.iterdir()] == ["tiny"]
    ran = keras_attn("export", tiny_run, "--to", base, "--version", 1)
    assert ran.code == 1
    assert "exists already" in ran.err


def test_the_commands_that_export_names_can_be_pasted(keras_attn, tiny_run, tmp_path, monkeypatch):
    base = tmp_path / "modèles 한 글" / "it's"
    monkeypatch.setattr("keras_attn.export.export_saved_model", lambda *_, **__: base / "1")
    ran = keras_attn("export", tiny_run, "--to", base, "--checkpoint", "last")
    check, following = (line.partition(": ")[2] for line in ran.out.splitlines()[1:])
    verify = ["keras-attn", "verify", str(base / "1"), "--run", str(tiny_run), "--checkpoint", "last"]
    assert shlex.split(check) == verify
    assert f"--model_base_path={base}" in shlex.split(following)


def test_serve_refuses_a_folder_that_is_no_saved_model(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "notes.txt").write_text("no model")
    ran = subprocess.run(
        [sys.executable, "-m", "keras_attn.cli.main", "serve", f"--model_base_path={tmp_path}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 255
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "Could not find SavedModel" in ran.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["query", "--help"], ["--version"]])
def test_help_loads_no_tensorflow(arguments):
    code = (
        "import sys\nfrom keras_attn.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    code = stop.code\n"
        "sys.exit(code or ('tensorflow' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0
    assert ran.stdout
    assert ran.stderr == ""
