"""Two processes on JAX train what one on TensorFlow trains; what is said where they do not fit together."""

import os
import shutil
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_attn.training.data.split import PairsSplit
from keras_attn.training.distribution.devices import data_parallel
from keras_attn.training.distribution.processes import (
    ALONE,
    Processes,
    check_agreement,
    join_processes,
)
from keras_attn.training.errors import RunError
from keras_attn.training.recipe.toml import dump_recipe
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.training.run.shared_run import shared_run

SECONDS = 900
VARIABLES = [f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")]
PAIRS = PairsSplit([("a", "b")], [("c", "d")], [("e", "f")])


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start(index, address, arguments):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        **dict(zip(VARIABLES, (address, "2", str(index)), strict=True)),
    }
    command = [sys.executable, "-m", "keras_attn.cli.main", "train", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(processes):
    """What each of them has printed."""
    try:
        printed = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text in zip(processes, printed, strict=True):
        assert process.returncode == 0, text[-3000:]
    return printed


@pytest.mark.exhaustive
def test_two_processes_go_on_where_one_has_stopped(quick_recipe_of, training, tmp_path, monkeypatch):
    """The first epoch is TensorFlow's; the second one's loss and weights are those that it finds itself."""
    pytest.importorskip("jax")
    recipe = quick_recipe_of(
        data__test_size=6,  # 48 pairs are left, in batches of 16
        model__dropout=0.0,
        training__epochs=2,
        training__batch_tokens=400,
        training__devices="all",
        training__checkpoint_steps=2,
    )
    save = RunFolder.save_checkpoint

    def save_and_copy(self, model, epoch, *arguments):
        save(self, model, epoch, *arguments)
        if epoch == 1:
            shutil.copytree(self.path, tmp_path / "two")

    monkeypatch.setattr(RunFolder, "save_checkpoint", save_and_copy)
    one, history = training(recipe, tmp_path / "one")
    recipe_path, address = tmp_path / "recipe.toml", f"localhost:{free_port()}"
    recipe_path.write_text(dump_recipe(recipe), encoding="utf-8")
    arguments = [recipe_path, "--run", tmp_path / "two"]
    first, second = finish([start(index, address, arguments) for index in range(2)])
    assert "Resuming after epoch 1 of 2" in first
    assert "epoch" not in second.lower()  # one reports for both
    two = RunFolder(tmp_path / "two")
    assert [entry["epoch"] for entry in two.history()] == [1, 2]
    for name in ("loss", "val_loss", "val_perplexity", "val_token_accuracy"):
        np.testing.assert_allclose(two.history()[1][name], history[1][name], rtol=1e-4)
    for pair in zip(one.last_model().get_weights(), two.last_model().get_weights(), strict=True):
        np.testing.assert_allclose(*pair, rtol=2e-3, atol=2e-4)
    texts = ["rot 3", "가 나 katze"]
    assert two.text_to_text()(texts) == one.text_to_text()(texts)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ("localhost:1", "2", ""),
            r"need KERAS_DISTRIBUTION_JOB_ADDRESSES, .*Received: 'loc.*', '2', ''",
        ),
        (("", "2", "0"), "host:port of the first process"),
        (("localhost:1", "two", "0"), "their number"),
        (("localhost:1", "2", "2"), "the number of this one, from 0"),
        (("localhost:1", "2", "0"), r"on JAX alone. Expected KERAS_BACKEND=jax. Received: tensorflow"),
    ],
)
def test_an_environment_that_is_refused(monkeypatch, values, message):
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    if "JAX" in message and keras.backend.backend() != "tensorflow":
        pytest.skip("what other backends than JAX are told")
    with pytest.raises(RunError, match=message):
        join_processes()


def test_alone(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert join_processes() == ALONE == Processes(0, 1)
    run, prepared = RunFolder(tmp_path), []
    with shared_run(ALONE, run, lambda: prepared.append(1)) as own:
        assert own is run
    assert prepared == [1]


def test_several_processes_want_all_devices():
    with pytest.raises(RunError, match=r"are 2 processes, .* Set training.devices=all for every process"):
        data_parallel("one", Processes(0, 2))


@pytest.mark.parametrize("differing", [(), ("recipes",), ("pairs",), ("recipes", "pairs")])
def test_processes_that_would_train_something_else(recipe_of, monkeypatch, differing):
    multihost_utils = pytest.importorskip("jax.experimental.multihost_utils")
    gathered = []

    def gather(values):
        gathered.append(values)
        return np.stack([gathered[0], values])

    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    check_agreement(Processes(0, 2), recipe_of(), PAIRS)
    recipe = recipe_of(training__seed=17) if "recipes" in differing else recipe_of(data__folder="elsewhere")
    pairs = PAIRS._replace(test=[("e", "g")]) if "pairs" in differing else PAIRS
    if not differing:
        check_agreement(Processes(1, 2), recipe, pairs)
        return
    with pytest.raises(RunError, match=rf"2 processes have different {' and '.join(differing)}\. Expected"):
        check_agreement(Processes(1, 2), recipe, pairs)
