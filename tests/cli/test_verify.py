"""`keras-attn verify` and formats of exports: one report, and an exit code that tells."""

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext

import keras
import pytest

from keras_attn.export.service.signatures import INPUTS

TRANSFORMER = """
kind = "transformer"
num_encoder_layers = 1
num_decoder_layers = 1
embedding_dim = 6
num_heads = 2
hidden_dim = 11
"""


@pytest.fixture(autouse=True)
def leave_xla_on(monkeypatch):
    """The command switches it off for its whole process; in this one other tests still need it."""
    monkeypatch.setattr("keras_attn.serving.models.session.disable_xla", lambda: True)


# One family with all signatures; the other one with those of its own: alignments, and texts bit by bit.
FEW = ("serving_default", "align", "stream", "stream_events")


def exported(run, folder):
    """The base path of an export of a run."""
    from keras_attn.cli.main import main

    base_path = folder / run.parent.name
    with pytest.raises(SystemExit) as exit_info:
        main(["export", str(run), "--to", str(base_path), "--num-hypotheses", "2"])
    assert exit_info.value.code == 0
    return base_path


@pytest.fixture(scope="module")
def exported_run(tiny_run, tmp_path_factory, few_signatures, unchecked):
    """The base path of an export of `tiny_run`, with the signatures of `FEW`."""
    with few_signatures(*FEW), unchecked():
        return exported(tiny_run, tmp_path_factory.mktemp("verified"))


@pytest.fixture(scope="module")
def transformer_run(tiny_run, tmp_path_factory, unchecked):
    """A Transformer that searches with a beam, trained on the same pairs, and its export's base path."""
    from keras_attn.cli.main import main

    folder = tmp_path_factory.mktemp("transformer")
    recipe = (tiny_run.parent / "recipe.toml").read_text(encoding="utf-8")
    head, tail = recipe.split("[model]")[0], recipe.split("[training]")[1]
    tail = tail.replace("[decoding]", "[decoding]\nbeam_size = 3")
    (folder / "recipe.toml").write_text(f"{head}[model]\n{TRANSFORMER}\n[training]{tail}", encoding="utf-8")
    with pytest.raises(SystemExit) as exit_info:
        main(["train", str(folder / "recipe.toml"), "--run", str(folder / "run")])
    assert exit_info.value.code == 0
    with unchecked():
        return folder / "run", exported(folder / "run", folder / "exports")


def verified(run, base_path, folder):
    """What the command says of an export, in a process of its own, with XLA switched off."""
    lines = folder / "lines.txt"
    lines.write_text("house water\n\nhorse 눈\n", encoding="utf-8")
    command = [sys.executable, "-m", "keras_attn.cli.main", "verify", base_path, "--run", run, "--json"]
    ran = subprocess.run([*command, "--inputs", lines], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    return json.loads(ran.stdout)


def assert_all_ways_agree(report, base_path, num_signatures):
    assert (report["passed"], report["skipped"]) == (True, [])
    names = ["eager", "tf.saved_model.load", "Session", "REST", "gRPC"]
    streamed = ["Session, streamed", "REST, streamed"]
    assert [check["name"] for check in report["checks"]][2:] == names + streamed
    assert all(check["passed"] and not check["problems"] for check in report["checks"])
    # Two texts: together in both orders, and each alone.
    assert {check["count"] for check in report["checks"][3:7]} == {num_signatures * 4}
    assert [check["name"] for check in report["checks"] if check["is_reference"]] == ["eager"]
    assert report["checks"][2]["count"] == num_signatures  # once for both texts
    assert {check["count"] for check in report["checks"][7:]} == {2}
    assert report["export"] == str(base_path / "1")
    assert report["tolerance"]["kind"] == "rounding"
    assert 0 < report["tolerance"]["of_a_token"] < 1e-4
    assert report["least_server_version"] == "2.16"


@pytest.mark.exhaustive
def test_a_recurrent_run_answers_the_same_every_way(tiny_run, exported_run, tmp_path):
    report = verified(tiny_run, exported_run, tmp_path)
    assert report["signatures"] == sorted(FEW)
    assert_all_ways_agree(report, exported_run, 3)  # `stream_events` is asked with `stream`


@pytest.mark.exhaustive
def test_a_transformer_run_answers_the_same_every_way(transformer_run, tmp_path):
    run, base_path = transformer_run
    report = verified(run, base_path, tmp_path)
    assert report["signatures"] == sorted(INPUTS)
    assert_all_ways_agree(report, base_path, 8)
    manifest = json.loads((base_path / "1" / "assets.extra" / "keras_attn" / "manifest.json").read_text())
    assert (manifest["model"], manifest["decoding"]["beam_size"]) == ("TransformerSeq2Seq", 3)


def test_an_export_of_other_weights_than_the_runs_is_found(
    keras_attn, tiny_run, exported_run, tmp_path, monkeypatch
):
    # What differs is found without a server as well.
    monkeypatch.setattr("keras_attn.cli.server_backends.served_backends", lambda *arguments: nullcontext([]))
    lines = tmp_path / "line.txt"
    lines.write_text("house water\n", encoding="utf-8")
    other = shutil.copytree(tiny_run, tmp_path / "other")
    model = keras.models.load_model(other / "best.keras", compile=False)
    kernel = model.get_layer("logits").weights[0]
    kernel.assign(kernel + 0.05)
    kernel.assign(kernel * 1.1)
    model.save(other / "best.keras")
    ran = keras_attn("verify", exported_run, "--run", other, "--inputs", lines)
    assert ran.code == 1
    assert "asked  eager" in ran.out
    assert "WRONG  Session" in ran.out
    assert "s  Session: serving_default" in ran.err
    assert "NOT the same" in ran.out
    assert "same is a token's log-probability within" in ran.out


def test_damaged_weights_are_a_line_of_the_report(keras_attn, exported_run, tmp_path):
    damaged = shutil.copytree(exported_run / "1", tmp_path / "1")
    (data,) = (damaged / "variables").glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[100] ^= 0xFF
    data.write_bytes(content)
    ran = keras_attn("verify", damaged, "--tolerance", 0.25)
    assert ran.code == 1
    assert "WRONG  loads and answers" in ran.out
    assert "same is numbers within 0.25 of the larger of 1 and their own size" in ran.out


def test_a_folder_without_a_model(keras_attn, tmp_path):
    ran = keras_attn("verify", tmp_path)
    assert ran.code == 1
    assert "holds no SavedModel. Expected a version folder" in ran.err


def test_a_model_of_another_program(keras_attn, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    ran = keras_attn("verify", tmp_path)
    assert ran.code == 1
    assert "has no manifest" in ran.err


def test_a_recurrent_run_is_nothing_for_ctranslate2(keras_attn, tiny_run, tmp_path):
    pytest.importorskip("ctranslate2", reason="it writes the model")
    ran = keras_attn("export", tiny_run, "--to", tmp_path / "tiny", "--format", "ctranslate2")
    assert ran.code == 1
    assert "CTranslate2 runs Transformers alone" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_options_of_the_other_format_are_refused(keras_attn, tiny_run):
    ran = keras_attn("export", tiny_run, "--format", "ctranslate2", "--beam-size", 3)
    assert ran.code == 2
    assert "are of saved_model" in ran.err


def test_a_platform_where_xla_stays_on_is_a_line_of_the_report(
    keras_attn, exported_run, tmp_path, monkeypatch
):
    monkeypatch.setattr("keras_attn.serving.models.session.disable_xla", lambda: False)
    damaged = shutil.copytree(exported_run / "1", tmp_path / "1")
    shutil.rmtree(damaged / "variables")
    ran = keras_attn("verify", damaged)
    assert ran.code == 1
    assert "XLA disabled: this platform's TensorFlow has no switch" in ran.out


def test_a_folder_that_no_server_takes(tmp_path):
    from keras_attn.cli.server_backends import served_backends
    from keras_attn.export import VerificationError

    message = "The server does not take the version: .*Could not find SavedModel"
    with pytest.raises(VerificationError, match=message), served_backends(tmp_path):
        raise AssertionError("it was served")
