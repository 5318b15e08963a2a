"""Training: files and history, and a run that is killed and resumed equals an unbroken one."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_attn.training.batches import Batches
from keras_attn.training.corpus import load_corpus
from keras_attn.training.fit import _Repeatable, train
from keras_attn.training.run_folder import RunFolder

KILLED = """
import os, signal, sys
from pathlib import Path
from keras_attn.training import batches, fit
from keras_attn.training.corpus import load_corpus
from keras_attn.training.recipe_file import load_recipe
from keras_attn.training.run_folder import RunFolder

class Deadly(batches.Batches):
    epoch = 0
    def begin_epoch(self, epoch):
        self.epoch = epoch
        super().begin_epoch(epoch)
    def __getitem__(self, index):
        if self.epoch == 1 and index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

fit.Batches = Deadly
recipe = load_recipe(sys.argv[1])
run = RunFolder(sys.argv[2])
run.begin(recipe)
fit.train(recipe, load_corpus(recipe), run)
"""


def values(history):
    """The history without the seconds."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]


def weights(path):
    return keras.models.load_model(path).get_weights()


def assert_same_run(one, other):
    np.testing.assert_equal(values(one.history(3)), values(other.history(3)))
    for pair in zip(weights(one.checkpoint()[1]), weights(other.checkpoint()[1]), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


def test_what_a_finished_run_holds(finished):
    names = {path.relative_to(finished.run.path).as_posix() for path in finished.run.path.rglob("*")}
    assert names == {
        "recipe.toml",
        "history.json",
        "best.keras",
        "checkpoints",
        "checkpoints/epoch-0003.keras",
        "tokenizer",
        "tokenizer/source.json",
        "tokenizer/target.json",
    }


def test_history(finished):
    assert [entry["epoch"] for entry in finished.history] == [1, 2, 3]
    expected = {"epoch", "seconds", "loss", "token_accuracy", "val_loss", "val_token_accuracy"}
    assert all(set(entry) == expected for entry in finished.history)
    assert all(np.isfinite(list(entry.values())).all() for entry in finished.history)
    assert finished.history[-1]["loss"] < finished.history[0]["loss"]
    assert json.loads((finished.run.path / "history.json").read_text()) == finished.history


def test_what_is_reported(finished):
    assert finished.lines[0] == "49 train pairs, 7 validation pairs, 5 test pairs"
    vocabulary = [tokenizer.vocabulary_size for tokenizer in finished.run.tokenizers()]
    assert finished.lines[1] == f"{vocabulary[0]} source ids, {vocabulary[1]} target ids"
    parameters = sum(weight.size for weight in weights(finished.run.best_path))
    assert finished.lines[2:] == [f"{parameters:,} parameters"]


def test_another_seed_without_warm_up_and_long_pairs(finished, recipe_of, training, tmp_path):
    changes = {"training__seed": 14, "training__warmup_steps": 0, "data__max_source_length": 11}
    lines = []
    _, history = training(recipe_of(training__epochs=1, **changes), tmp_path / "other", lines.append)
    assert any("training pairs left out: longer than 11 or 256 tokens" in line for line in lines)
    assert np.isfinite(history[0]["loss"])
    assert history[0]["loss"] != pytest.approx(finished.history[0]["loss"], rel=1e-4)


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_equals_an_unbroken_one(finished, training, tmp_path):
    """With dropout: batches, dropout's random numbers, optimizer and learning rate all go on."""
    recipe_path, path = finished.run.path / "recipe.toml", tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, recipe_path, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert RunFolder(path).checkpoint()[0] == 1  # the second epoch was running
    lines = []
    run, history = training(finished.recipe, path, lines.append)
    assert "Resuming after epoch 1 of 3" in lines
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert_same_run(run, finished.run)
    for pair in zip(weights(run.best_path), weights(finished.run.best_path), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


def test_a_finished_run_is_not_trained_again(finished):
    before = finished.run.checkpoint()[1].stat().st_mtime_ns
    history = train(finished.recipe, load_corpus(finished.recipe), finished.run, lambda line: None)
    assert history == finished.history
    assert finished.run.checkpoint()[1].stat().st_mtime_ns == before


def test_dropout_differs_by_epoch_and_can_be_repeated(tiny_model):
    model = tiny_model(19, dropout=0.5)
    inputs = {"source": np.array([[5, 6, 2]]), "target": np.array([[1, 7, 8]])}

    def outputs(epoch):
        callback = _Repeatable(13, Batches([[5]], [[7]], 3))
        callback.set_model(model)
        callback.on_epoch_begin(epoch)
        return [model(inputs, training=True).numpy() for _ in range(2)]

    first, second, again = outputs(0), outputs(1), outputs(0)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, second)
    assert not np.allclose(first[0], first[1])  # within an epoch the generator goes on


def test_learning_rate_warms_up_and_decays_to_zero(finished):
    model = keras.models.load_model(finished.run.checkpoint()[1])
    schedule, steps = model.optimizer._learning_rate, 3 * 5
    assert int(model.optimizer.iterations) == steps
    rates = [float(schedule(step)) for step in range(steps + 1)]
    assert rates[0] == 0
    assert rates[1] == pytest.approx(0.005)
    assert max(rates) == rates[2] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-8)


def test_sentencepiece_runs_train_too(recipe_of, training, tmp_path):
    recipe = recipe_of(tokenizer__kind="sentencepiece", tokenizer__vocabulary_size=53, training__epochs=1)
    run, _ = training(recipe, tmp_path / "run")
    names = sorted(path.name for path in Path(run.path / "tokenizer").iterdir())
    assert names == ["source.model", "target.model"]
    assert len(run.text_to_text()(["rot blau"])) == 1


def test_half_a_checkpoint_is_not_resumed_from(finished, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(finished.run.path, path)
    (path / "checkpoints" / ".saving.keras").write_bytes(b"half")
    assert RunFolder(path).checkpoint() == (3, path / "checkpoints" / "epoch-0003.keras")
