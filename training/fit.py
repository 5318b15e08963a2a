"""Trains the model of a recipe with `model.fit`, resuming where an earlier run of it stopped."""

import sys
import time

import keras
import numpy as np

from keras_attn.losses import SequenceCrossentropy
from keras_attn.metrics import TokenAccuracy

from .batches import Batches
from .corpus import encode_pairs, train_tokenizers
from .models import build_model


def train(recipe, corpus, run, report=print):
    """Trains until `training.epochs` epochs are done; epochs that a checkpoint holds are not repeated.

    Args:
        recipe: a `Recipe`.
        corpus: the `PairsSplit` that `load_corpus` gives for it.
        run: the `RunFolder` of the run; begun with the same recipe.
        report: called with each line of progress.

    Returns:
        The history, one dictionary an epoch.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    report(", ".join(f"{len(pairs)} {name} pairs" for name, pairs in corpus._asdict().items()))
    tokenizers = _tokenizers(recipe, run, corpus.train)
    report(f"{tokenizers[0].vocabulary_size} source ids, {tokenizers[1].vocabulary_size} target ids")
    done, checkpoint = run.checkpoint()
    train_batches, validation_batches = _batches(recipe, corpus, tokenizers, report)
    if done:
        report(f"Resuming after epoch {done} of {recipe.training.epochs}")
        model = keras.models.load_model(checkpoint)
    else:
        model = _compiled(recipe, tokenizers, steps=len(train_batches) * recipe.training.epochs)
    report(f"{model.count_params():,} parameters")
    keeper = _Keeper(run, run.history(done))
    if done < recipe.training.epochs:
        model.fit(
            train_batches.dataset(),
            validation_data=validation_batches.dataset(),
            epochs=recipe.training.epochs,
            initial_epoch=done,
            shuffle=False,  # `Batches` does, in a way that can be repeated
            callbacks=[_Repeatable(recipe.training.seed, train_batches), keeper],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    return keeper.history


class _Repeatable(keras.callbacks.Callback):
    """Makes what is random in an epoch depend on the seed and its number alone, so that a run can resume.

    That is the order of the pairs, and dropout, because Keras does not save the states of its generators.
    """

    def __init__(self, seed, batches):
        super().__init__()
        self._seed = seed
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.begin_epoch(epoch)
        random = np.random.default_rng((self._seed, epoch))
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":
                variable.assign(random.integers(1 << 31, size=variable.shape))


class _Keeper(keras.callbacks.Callback):
    """Writes checkpoint and history after every epoch."""

    def __init__(self, run, history):
        super().__init__()
        self._run = run
        self.history = history

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self._began, 2)
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, "seconds": seconds, **values})
        self._run.save_checkpoint(self.model, epoch + 1, self.history)


def _tokenizers(recipe, run, pairs):
    tokenizers = run.tokenizers()
    if tokenizers is None:
        tokenizers = train_tokenizers(recipe, pairs)
        run.save_tokenizers(*tokenizers)
    return tokenizers


def _batches(recipe, corpus, tokenizers, report):
    limits = recipe.data.max_source_length, recipe.data.max_target_length
    train = encode_pairs(corpus.train, *tokenizers, *limits)
    validation = encode_pairs(corpus.validation, *tokenizers, *limits)
    if train.dropped_long:
        report(f"{train.dropped_long} training pairs left out: longer than {limits[0]} or {limits[1]} tokens")
    options = recipe.training
    return (
        Batches(train.sources, train.targets, options.batch_size, seed=options.seed),
        Batches(validation.sources, validation.targets, options.batch_size),
    )


def _compiled(recipe, tokenizers, steps):
    model = build_model(recipe.model, *(tokenizer.vocabulary_size for tokenizer in tokenizers))
    warmup_steps = min(recipe.training.warmup_steps, steps // 2)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.0,  # a float: with an integer Keras computes the warm-up in integers
        decay_steps=steps - warmup_steps,
        warmup_target=recipe.training.learning_rate,
        warmup_steps=warmup_steps,
    )
    model.compile(
        keras.optimizers.Adam(learning_rate, global_clipnorm=recipe.training.clip_norm),
        SequenceCrossentropy(recipe.training.label_smoothing),
        metrics=[TokenAccuracy()],
        jit_compile=False,
    )
    return model
