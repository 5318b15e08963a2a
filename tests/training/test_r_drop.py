"""Training with R-Drop: every pair twice, in a batch and in a whole run."""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_attn.losses import RDropCrossentropy, SequenceCrossentropy
from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.repeated_rows import EveryRowTwice
from keras_attn.training.batches.token_batches import TokenBatches
from keras_attn.training.distribution.processes import ALONE, Processes
from keras_attn.training.from_recipe.batches import make_batches
from keras_attn.training.recipe.model_sections import model_section
from keras_attn.training.run.checkpoints import Checkpoints
from keras_attn.training.run.run_folder import RunFolder

IDS = [np.arange(4, 7 + index % 3) for index in range(13)]


@pytest.mark.parametrize(("kind", "size"), [(Batches, 5), (TokenBatches, 17)])
def test_every_pair_comes_twice_in_a_row(kind, size):
    plain = kind(IDS, IDS, size, seed=7)
    twice = EveryRowTwice(plain)
    assert len(plain) == len(twice)
    for batch in range(len(plain)):
        (inputs, labels), (both, both_labels) = plain[batch], twice[batch]
        for one, two in [(labels, both_labels), *((inputs[name], both[name]) for name in inputs)]:
            np.testing.assert_array_equal(two[::2], one)
            np.testing.assert_array_equal(two[1::2], one)


def test_devices_share_whole_pairs():
    batches = EveryRowTwice(Batches(IDS, IDS, 5), multiple=3)
    labels = batches[0][1]
    assert labels.shape[0] == 12
    np.testing.assert_array_equal(labels[::2], labels[1::2])
    assert labels[:10].any(axis=1).all()
    assert not labels[10:].any()


def test_processes_get_whole_pairs(recipe_of):
    class Pairs:
        sources = targets = IDS

    recipe = recipe_of(training__r_drop=2.0, training__batch_size=5)
    whole = make_batches(recipe, None, Pairs, Pairs, ALONE, 1)[0][0][1]
    parts = [make_batches(recipe, None, Pairs, Pairs, Processes(index, 2), 2)[0][0][1] for index in range(2)]
    for part in parts:
        np.testing.assert_array_equal(part[::2], part[1::2])
    together = np.stack([part[::2] for part in parts], axis=1).reshape(-1, whole.shape[1])
    np.testing.assert_array_equal(together[:5], whole[::2])
    assert not together[5:].any()


@pytest.mark.exhaustive
def test_a_run(recipe_of, training, tmp_path):
    """With all that it has to go together with; what is saved answers as any other model does."""
    sizes = {"embedding_dim": 6, "num_heads": 2, "hidden_dim": 11, "layer_drop": 0.2}
    options = {"r_drop": 4.0, "batch_tokens": 400, "precision": "mixed_bfloat16", "epochs": 2}
    options["label_smoothing"] = 0.0
    recipe = replace(
        recipe_of(**{f"training__{name}": value for name, value in options.items()}),
        model=model_section("transformer", num_encoder_layers=1, num_decoder_layers=1, **sizes),
    )
    run, history = training(recipe, tmp_path / "run")
    assert history[1]["val_loss"] < history[0]["val_loss"]
    model = run.last_model()
    assert type(model.loss) is RDropCrossentropy
    assert model.loss.get_config()["alpha"] == 4.0
    # The validation loss is that of one pass.
    assert history[1]["val_loss"] == pytest.approx(np.log(history[1]["val_perplexity"]), rel=1e-5)
    inputs = {"source": np.array([[5, 6, 2]]), "target": np.array([[1, 5, 6]])}
    np.testing.assert_allclose(run.model("last")(inputs), model(inputs), atol=0.05)


def test_dropout_is_what_the_two_passes_differ_in(tiny_model, rng):
    """Without dropout the loss is the ordinary one, and what `fit` finds too."""
    batches = EveryRowTwice(Batches(IDS, IDS, 5))
    losses = {}
    for dropout in (0.0, 0.5):
        keras.utils.set_random_seed(3)
        model = tiny_model(11, 11, dropout)
        inputs, labels = batches[0]
        logits = model(inputs, training=True)
        both = RDropCrossentropy(5.0), SequenceCrossentropy()
        losses[dropout] = [float(loss(labels, logits)) for loss in both]
    assert losses[0.0][0] == pytest.approx(losses[0.0][1], rel=1e-6)
    assert losses[0.5][0] > losses[0.5][1] + 0.01


@pytest.mark.exhaustive
def test_it_begins_after_the_epochs_without(quick_recipe_of, training, finished, tmp_path, monkeypatch):
    """Those are the epochs of a run that knows nothing of it; resumed inside an epoch, it is the same run."""
    recipe = quick_recipe_of(training__checkpoint_steps=2, training__r_drop=4.0, training__r_drop_after=2)
    saving = Checkpoints.saving

    @contextmanager
    def saving_and_copying(self, model, epoch, step=0, state=None):
        with saving(self, model, epoch, step, state) as path:
            yield path
        if (epoch, step) == (2, 2):
            shutil.copytree(self.folder.parent, tmp_path / "resumed")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "saving", saving_and_copying)
        run, history = training(recipe, tmp_path / "late")
    losses, plain = ([epoch["val_loss"] for epoch in epochs] for epochs in (history, finished.history))
    assert losses[:2] == plain[:2]
    assert losses[2] != plain[2]
    assert type(run.last_model().loss) is RDropCrossentropy
    assert RunFolder(tmp_path / "resumed").checkpoint()[:2] == (2, 2)
    resumed, resumed_history = training(recipe, tmp_path / "resumed")
    assert resumed_history[2]["loss"] == history[2]["loss"]
    for one, other in zip(run.last_model().weights, resumed.last_model().weights, strict=True):
        np.testing.assert_array_equal(one, other)
