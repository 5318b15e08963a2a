"""What is validated is what `fit` would give, once an epoch, with the averaged weights."""

import keras
import numpy as np
import pytest

from keras_attn.losses import SequenceCrossentropy
from keras_attn.metrics import Perplexity, TokenAccuracy
from keras_attn.training.batches.batches import Batches
from keras_attn.training.callbacks.validation import Validation
from keras_attn.training.from_recipe.optimizer import WatchedAdam
from keras_attn.training.run.moving_average import averaged_weights

from ...few import few

IDS = [np.random.default_rng(index).integers(4, 19, 3 + index % 5) for index in range(23)]


def plain_model(size):
    """Logits of the target's ids alone and of the source's sum: quickly traced."""
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")}
    source, target = (keras.layers.Embedding(size, 5)(inputs[name]) for name in ("source", "target"))
    hidden = target + keras.ops.sum(source, axis=1, keepdims=True)
    return keras.Model(inputs, keras.layers.Dense(size)(hidden))


@pytest.mark.parametrize("use_ema", few([False, True], True))
def test_it_is_what_evaluate_gives(use_ema):
    model, batches = plain_model(19), Batches(IDS, IDS, 7)
    optimizer = WatchedAdam(0.1, use_ema=use_ema, ema_momentum=0.9)
    model.compile(optimizer, SequenceCrossentropy(0.1), jit_compile=False)
    options = {"shuffle": False, "verbose": 0, "epochs": 2}
    history = model.fit(batches.dataset(), callbacks=[Validation(batches.dataset, 0.1)], **options).history
    assert set(history) == {"loss", "val_loss", "val_perplexity", "val_token_accuracy"}
    metrics = [Perplexity(), TokenAccuracy()]
    with averaged_weights(model) as averaged:
        assert averaged is use_ema
        model.compile(optimizer, SequenceCrossentropy(0.1), metrics=metrics, jit_compile=False)
        expected = model.evaluate(batches.dataset(), verbose=0, return_dict=True)
    del expected["loss"]  # weighed by rows
    for name, value in expected.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-6)
    assert history["val_loss"][0] != history["val_loss"][1]


def test_loss_and_perplexity_are_those_of_the_corpus():
    """Against NumPy over all tokens at once, while the batches are of unequal size and length."""
    model, batches = plain_model(19), Batches(IDS, IDS, 7)
    model.compile(WatchedAdam(0.001), SequenceCrossentropy(0.1), jit_compile=False)
    callback = Validation(batches.dataset, 0.1)
    history = model.fit(batches.dataset(), callbacks=[callback], shuffle=False, verbose=0).history
    nll, smoothed = [], []
    for index in range(len(batches)):
        inputs, labels = batches[index]
        logits = np.array(model(inputs), np.float64)
        log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        right = np.take_along_axis(log_probs, labels[..., None].astype(int), axis=-1)[..., 0]
        nll.append(-right[labels != 0])
        smoothed.append((-0.9 * right - 0.1 * log_probs.mean(axis=-1))[labels != 0])
    assert history["val_loss"][0] == pytest.approx(np.concatenate(smoothed).mean(), rel=1e-5)
    assert history["val_perplexity"][0] == pytest.approx(np.exp(np.concatenate(nll).mean()), rel=1e-4)
