"""A training whose numbers explode stops, names the batch and keeps what was good."""

import json

import keras
import numpy as np
import pytest

from keras_attn.models import ConvolutionalSeq2Seq
from keras_attn.training.batches.batches import Batches
from keras_attn.training.callbacks.non_finite import NonFiniteError, NonFiniteStop
from keras_attn.training.data.text_files import DataError
from keras_attn.training.from_recipe.optimizer import WatchedAdam
from keras_attn.training.run.run_folder import RunFolder


@keras.saving.register_keras_serializable(package="tests")
class PoisonousLoss(keras.losses.Loss):
    """Finite, but in the batch that holds a certain id its gradient is not, or it itself."""

    def __init__(self, poison, kind):
        super().__init__()
        self.poison = poison
        self.kind = kind

    def call(self, y_true, y_pred):
        found = keras.ops.any(keras.ops.equal(y_true, self.poison))
        zero = keras.ops.sum(y_pred) * 0.0
        if self.kind == "loss":
            return keras.ops.mean(y_pred) + keras.ops.where(found, np.inf, 0.0)
        infinite_slope = keras.ops.sqrt(zero + keras.ops.where(found, 0.0, 1.0))
        return keras.ops.mean(y_pred) + infinite_slope


def gone(pairs):
    raise DataError("`pairs.tsv` was not found.")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("kind", "lines_of", "lines"),
    [
        pytest.param(
            "loss",
            lambda pairs: [[len(text)] for text, _ in pairs],
            [[2], [2]],
            marks=pytest.mark.exhaustive,  # `test_a_training_that_explodes...` has a loss and lines too
        ),
        ("gradient", gone, "`pairs.tsv` was not found."),
    ],
)
def test_the_batch_is_named(kind, lines_of, lines, tokenizers, tmp_path, recipe_of):
    run, tokenizer = RunFolder(tmp_path / "run"), tokenizers.characters
    run.begin(recipe_of())
    texts = ["Hund", "Köln", "안녕", "세계", "Straße"]
    ids = [np.array(x) for x in tokenizer.encode(texts).to_list()]
    poison = int(ids[2][0])
    size, convolutions = tokenizer.vocabulary_size, [(7, 3)]  # TensorFlow traces it faster than the others
    model = ConvolutionalSeq2Seq(
        size, size, embedding_dim=5, encoder_convolutions=convolutions, decoder_convolutions=convolutions
    )
    model.compile(WatchedAdam(0.001), PoisonousLoss(poison, kind), jit_compile=False)
    batches = Batches(ids, ids, 2)
    pairs = list(zip(texts, texts, strict=True))
    callback = NonFiniteStop(run, batches, pairs, lines_of)
    message = (
        rf"The {kind} is not finite in epoch 1, batch 2. Expected numbers. Received: .*non_finite.json.*lower"
    )
    with pytest.raises(NonFiniteError, match=message):
        model.fit(batches.dataset(), shuffle=False, verbose=0, callbacks=[callback])
    account = json.loads((run.path / "non_finite.json").read_text(encoding="utf-8"))
    place = {"what": kind, "epoch": 1, "batch": 2}
    assert account == {**place, "lines": lines, "source": texts[2:4], "target": texts[2:4]}


def test_a_training_that_explodes_keeps_its_last_checkpoint(
    quick_recipe_of, training, corpus_folder, tmp_path, monkeypatch
):
    """In the second epoch the loss becomes none at all."""
    path = tmp_path / "run"
    begin = NonFiniteStop.on_epoch_begin

    def poisoned(self, epoch, logs=None):
        begin(self, epoch, logs)
        if epoch == 1:
            self.model.get_layer("logits").bias.assign(
                np.full(self.model.get_layer("logits").bias.shape, np.nan)
            )

    monkeypatch.setattr(NonFiniteStop, "on_epoch_begin", poisoned)
    with pytest.raises(NonFiniteError, match=r"The loss is not finite in epoch 2, batch 1.*epoch-0001.keras"):
        training(quick_recipe_of(training__checkpoint_steps=1), path)
    run = RunFolder(path)
    assert run.checkpoint()[:2] == (1, 0)
    assert all(np.isfinite(weight).all() for weight in run.last_model().get_weights())
    account = json.loads((path / "non_finite.json").read_text(encoding="utf-8"))
    assert account["epoch"] == 2
    rows = (corpus_folder / "pairs.tsv").read_text(encoding="utf-8").splitlines()
    assert len(account["lines"]) == 11
    for [line], *pair in zip(account["lines"], account["source"], account["target"], strict=True):
        assert rows[line - 1].split("\t") == pair
    assert len(run.history()) == 1
