"""`keras-attn average`, and which model the other commands take."""

import shutil

import pytest


@pytest.fixture(scope="module")
def kept(tiny_run, tmp_path_factory):
    """A copy of the run that has kept the weights of its epoch."""
    from keras_attn.training.run.run_folder import RunFolder

    path = tmp_path_factory.mktemp("runs") / "kept"
    shutil.copytree(tiny_run, path)
    run = RunFolder(path)
    run.last_model().save_weights(run.checkpoints.folder / "epoch-0001.weights.h5")
    return path


@pytest.mark.exhaustive
def test_average_and_evaluate_it(keras_attn, kept, tiny_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(kept, path)
    ran = keras_attn("average", path, "--last", 1)
    assert ran.code == 0
    assert ran.out.startswith(f"{path}/averaged.keras: the mean of the weights after epochs 1\n")
    averaged = keras_attn("translate", path, "house water", "--checkpoint", "averaged")
    plain = keras_attn("translate", tiny_run, "house water", "--checkpoint", tiny_run / "best.keras")
    assert averaged.code == plain.code == 0
    assert averaged.out == plain.out
    assert keras_attn("average", path, "--best", 1).code == 0


def test_more_than_there_are(keras_attn, kept):
    ran = keras_attn("average", kept, "--best", 3)
    assert ran.code == 1
    assert "has kept the weights of 1 epochs. Expected at least 3" in ran.err


@pytest.mark.parametrize("arguments", [[], ["--last", 2, "--best", 2], ["--last", 0]])
def test_wrong_calls(keras_attn, kept, arguments):
    assert keras_attn("average", kept, *arguments).code == 2


def test_no_run(keras_attn, tmp_path):
    ran = keras_attn("average", tmp_path / "nothing", "--last", 1)
    assert ran.code == 1
    assert "is no run folder" in ran.err


@pytest.mark.parametrize("command", [["evaluate"], ["export"], ["translate"]])
def test_a_model_that_is_not_there(keras_attn, tiny_run, command):
    ran = keras_attn(
        *command, tiny_run, *(["x"] if command == ["translate"] else []), "--checkpoint", "averaged"
    )
    assert ran.code == 1
    assert "has no averaged.keras yet" in ran.err
