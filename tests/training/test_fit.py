"""Training: files and history, and a run that is killed and resumed equals an unbroken one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_attn.training.batches.batches import Batches
from keras_attn.training.callbacks.non_finite import NonFiniteStop
from keras_attn.training.callbacks.random_states import RepeatableEpochs
from keras_attn.training.data.corpus import load_corpus
from keras_attn.training.data.text_files import DataError
from keras_attn.training.fit import train
from keras_attn.training.recipe.model_sections import model_section
from keras_attn.training.recipe.section import RecipeError
from keras_attn.training.recipe.toml import dump_recipe
from keras_attn.training.run.run_folder import RunFolder

MEASURED = ("seconds", "peak_memory_mb", "val_decoding_seconds")

KILLED = """
import os, signal, sys
from keras_attn.training import Batches, load_recipe, train_recipe
from keras_attn.training.from_recipe import batches

recipe_path, *paths, epoch, index = sys.argv[1:]
DEADLY = int(epoch), int(index)

class Deadly(Batches):
    def __getitem__(self, index):
        if (self.epoch, index) == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)

batches.Batches = Deadly
recipe = load_recipe(recipe_path)
for path in paths:
    train_recipe(recipe, path)
"""


def values(history):
    """The history without what depends on the machine."""
    return [{name: x for name, x in entry.items() if name not in MEASURED} for entry in history]


def weights(path):
    return keras.models.load_model(path).get_weights()


def assert_same_run(one, other):
    np.testing.assert_equal(values(one.history(3)), values(other.history(3)))
    for pair in zip(weights(one.checkpoint().path), weights(other.checkpoint().path), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


def test_what_a_finished_run_holds(finished):
    names = {path.relative_to(finished.run.path).as_posix() for path in finished.run.path.rglob("*")}
    assert names == {
        "recipe.toml",
        "history.json",
        "history.svg",
        "vocabulary.json",
        "pairs.json",
        "best.keras",
        "checkpoints",
        "checkpoints/epoch-0003.keras",
        "tokenizer",
        "tokenizer/source.json",
        "tokenizer/target.json",
    }


def test_history(finished):
    assert [entry["epoch"] for entry in finished.history] == [1, 2, 3]
    expected = {"epoch", "seconds", "peak_memory_mb", "learning_rate", "loss", "val_loss"}
    for entry in finished.history:
        own = {name for name in entry if name == "val_loss" or not name.startswith("val_")}
        assert own == expected
    assert all(np.isfinite(list(entry.values())).all() for entry in finished.history)
    assert finished.history[-1]["loss"] < finished.history[0]["loss"]
    assert json.loads((finished.run.path / "history.json").read_text()) == finished.history


def test_what_is_reported(finished):
    read, folder, *lines = finished.lines
    assert read == "Training data: 61 pairs read: 0 empty, 12 held out; 49 kept"
    assert folder == f"Run folder: {finished.run.path}"
    assert lines[0] == "49 train pairs, 7 validation pairs, 5 test pairs"
    vocabulary = [tokenizer.vocabulary_size for tokenizer in finished.run.tokenizers()]
    assert lines[1] == f"{vocabulary[0]} source ids, {vocabulary[1]} target ids"
    parameters = sum(weight.size for weight in weights(finished.run.best_path))
    assert [line.split(":")[0] for line in lines[2:4]] == ["source", "target"]
    assert lines[4] == f"{parameters:,} parameters"
    (waiting,) = lines[5:]
    assert waiting.startswith("The first step is traced and compiled")


@pytest.mark.exhaustive
def test_another_seed_without_warm_up_and_long_pairs(finished, quick_recipe_of, training, tmp_path):
    changes = {"training__seed": 14, "training__warmup_steps": 0, "data__max_source_length": 11}
    lines = []
    _, history = training(quick_recipe_of(training__epochs=1, **changes), tmp_path / "other", lines.append)
    assert any("training pairs left out: longer than 11 or 256 tokens" in line for line in lines)
    assert np.isfinite(history[0]["loss"])
    assert history[0]["loss"] != pytest.approx(finished.history[0]["loss"], rel=1e-4)


@pytest.mark.exhaustive
def test_a_run_that_is_killed_and_resumed_equals_an_unbroken_one(finished, training, tmp_path):
    """With dropout: batches, dropout's random numbers, optimizer and learning rate all go on."""
    recipe_path, path = finished.run.path / "recipe.toml", tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, recipe_path, path, "1", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert RunFolder(path).checkpoint().epoch == 1  # the second epoch was running
    lines = []
    run, history = training(finished.recipe, path, lines.append)
    assert "Resuming after epoch 1 of 3" in lines
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert_same_run(run, finished.run)
    for pair in zip(weights(run.best_path), weights(finished.run.best_path), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-6, atol=1e-7)


@pytest.mark.exhaustive
def test_batches_of_a_resumed_epoch(quick_recipe_of, training, tmp_path, monkeypatch):
    """Interrupted after 4 of 5 batches, resumed after the checkpoint at 3: as if nothing had been."""
    changes = {
        "training__checkpoint_steps": 3,
        "training__epochs": 2,
        "training__accumulate_steps": 2,
        "training__ema_momentum": 0.8,
    }
    recipe, path = quick_recipe_of(**changes), tmp_path / "broken"
    unbroken, _ = training(recipe, tmp_path / "unbroken")
    with monkeypatch.context() as patch:
        patch.setattr(NonFiniteStop, "on_train_batch_end", interrupt_at(epoch=1, batch=3))
        with pytest.raises(KeyboardInterrupt):
            training(recipe, path)
    assert RunFolder(path).checkpoint()[:2] == (1, 3)
    lines = []
    broken, history = training(recipe, path, lines.append)
    assert "Resuming after epoch 1 and 3 batches of 2" in lines
    np.testing.assert_equal(values(history), values(unbroken.history()))  # of all five batches
    assert history[1]["seconds"] > 0
    assert_same_run(broken, unbroken)
    assert sorted(x.name for x in (path / "checkpoints").iterdir()) == ["epoch-0002.keras"]


def interrupt_at(epoch, batch):
    def on_train_batch_end(self, index, logs=None):
        if (self._epoch, index) == (epoch, batch):
            raise KeyboardInterrupt

    return on_train_batch_end


@pytest.mark.exhaustive
def test_killed_inside_an_epoch_and_resumed_bit_for_bit(quick_recipe_of, tmp_path):
    """SIGKILL, and all in processes with one thread: no sum depends on who was faster."""
    recipe_path = tmp_path / "recipe.toml"
    recipe_path.write_text(dump_recipe(quick_recipe_of(training__checkpoint_steps=2, training__epochs=2)))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

    def run(*names, deadly):
        command = [sys.executable, "-c", KILLED, recipe_path, *(tmp_path / name for name in names), *deadly]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert run("killed", deadly=("1", "4")).returncode == -signal.SIGKILL
    assert RunFolder(tmp_path / "killed").checkpoint()[0] == 1
    assert RunFolder(tmp_path / "killed").checkpoint()[1] in (2, 4)  # batches are made ahead of their time
    done = run("killed", "unbroken", deadly=("7", "0"))
    assert done.returncode == 0, done.stderr
    killed, unbroken = (RunFolder(tmp_path / name) for name in ("killed", "unbroken"))
    assert values(killed.history()) == values(unbroken.history())
    for pair in zip(weights(killed.checkpoint().path), weights(unbroken.checkpoint().path), strict=True):
        np.testing.assert_array_equal(*pair)


def test_patience_ends_a_training_and_a_resumed_one(quick_recipe_of, training, tmp_path):
    """With a rate that changes nothing no epoch is better than the first."""
    changes = {"training__learning_rate": 1e-30, "training__epochs": 7, "training__patience": 2}
    recipe = quick_recipe_of(**changes, training__weight_decay=0.0)
    run, history = training(recipe, tmp_path / "run")
    assert len(history) == 3
    before = run.checkpoint().path.stat().st_mtime_ns
    assert training(recipe, tmp_path / "run")[1] == history
    assert run.checkpoint().path.stat().st_mtime_ns == before


def test_a_finished_run_is_not_trained_again(finished):
    before = finished.run.checkpoint().path.stat().st_mtime_ns
    history = train(finished.recipe, load_corpus(finished.recipe), finished.run, lambda line: None)
    assert history == finished.history
    assert finished.run.checkpoint().path.stat().st_mtime_ns == before


def test_dropout_differs_by_epoch_and_can_be_repeated(tiny_model):
    model = tiny_model(19, dropout=0.5)
    inputs = {"source": np.array([[5, 6, 2]]), "target": np.array([[1, 7, 8]])}

    def outputs(epoch):
        callback = RepeatableEpochs(13, Batches([[5]], [[7]], 3))
        callback.set_model(model)
        callback.on_epoch_begin(epoch)
        return [model(inputs, training=True).numpy() for _ in range(2)]

    first, second, again = outputs(0), outputs(1), outputs(0)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, second)
    assert not np.allclose(first[0], first[1])  # within an epoch the generator goes on


def test_learning_rate_warms_up_and_decays_to_zero(finished):
    model = keras.models.load_model(finished.run.checkpoint().path)
    schedule, steps = model.optimizer._learning_rate, 3 * 5
    assert int(model.optimizer.iterations) == steps
    rates = [float(schedule(step)) for step in range(steps + 1)]
    assert rates[0] == 0
    assert rates[1] == pytest.approx(0.005)
    assert max(rates) == rates[2] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-8)


@pytest.mark.exhaustive
def test_sentencepiece_runs_train_too(quick_recipe_of, training, tmp_path):
    recipe = quick_recipe_of(
        tokenizer__kind="sentencepiece", tokenizer__vocabulary_size=53, training__epochs=1
    )
    run, _ = training(recipe, tmp_path / "run")
    names = sorted(path.name for path in Path(run.path / "tokenizer").iterdir())
    assert names == ["source.model", "target.model"]
    assert len(run.text_to_text()(["rot blau"])) == 1


def test_no_room_to_decode_is_found_before_training(recipe_of, training, tmp_path):
    """A language model's one table holds the source and the target."""
    recipe = recipe_of(tokenizer__shared=True, decoding__max_length=1100)
    sizes = {"embedding_dim": 8, "num_heads": 2, "hidden_dim": 8, "num_layers": 1}
    recipe = replace(recipe, model=model_section("language_model", positions="learned", **sizes))
    with pytest.raises(RecipeError, match=r"`decoding.max_length` leaves the model no positions .* 1100. Lo"):
        training(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alignment_layer": 6}, "`alignment_layer` must be one of the layers. Expected -6 to 5"),
        ({"position_options": {"longest": 7}}, "longest"),
    ],
)
def test_what_only_the_layers_know_is_said_of_the_model(recipe_of, training, tmp_path, changes, message):
    model = model_section("language_model", embedding_dim=6, num_heads=2, positions="learned", **changes)
    recipe = replace(recipe_of(tokenizer__shared=True), model=model)
    with pytest.raises(RecipeError, match=f"`model` describes no model: .*{message}"):
        training(recipe, tmp_path / "run")


def test_sources_too_long_to_decode_are_found_before_training(recipe_of, training, tmp_path):
    """The model may have positions for fewer than `decoding.max_source_length`."""
    recipe = recipe_of(data__max_source_length=7, training__validation_decoding={"sample_size": 3})
    layers = {"encoder_convolutions": ((8, 3),), "decoder_convolutions": ((8, 3),)}
    model = model_section("convolutional", embedding_dim=8, max_source_length=8, **layers)
    with pytest.raises(DataError, match=r"validation sources are longer than 7 tokens .* positions for"):
        training(replace(recipe, model=model), tmp_path / "run")


def test_half_a_checkpoint_is_not_resumed_from(finished, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(finished.run.path, path)
    (path / "checkpoints" / ".epoch-0004.keras").write_bytes(b"half")
    assert RunFolder(path).checkpoint() == (3, 0, path / "checkpoints" / "epoch-0003.keras")
