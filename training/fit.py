"""Trains the model of a recipe with `model.fit`, resuming where an earlier run of it stopped."""

import sys

import keras

from keras_attn.losses import SequenceCrossentropy

from .averaging import average_epochs
from .batches import Batches
from .checkpoint_keeper import CheckpointKeeper
from .corpus import encode_pairs, train_tokenizers
from .decoding_metrics import DecodingMetrics
from .devices import device_scope, loss_weight
from .interrupted_epoch import InterruptedEpoch
from .models import build_model
from .monitors import is_exhausted
from .non_finite import NonFiniteStop
from .optimizer import make_optimizer
from .random_states import RepeatableEpochs
from .tensorboard_log import TensorBoardLog
from .token_batches import TokenBatches
from .validation import Validation
from .vocabulary import report_vocabularies
from .word_dropout import with_word_dropout


def train(recipe, corpus, run, report=print):
    """Trains until `training.epochs` epochs are done, or `training.patience` is at its end.

    What a checkpoint holds is not repeated. Where the recipe asks for an average, it is written at the end.

    Args:
        recipe: a `Recipe`.
        corpus: the `PairsSplit` that `load_corpus` gives for it.
        run: the `RunFolder` of the run; begun with the same recipe.
        report: called with each line of progress.

    Returns:
        The history, one dictionary an epoch.

    Raises:
        NonFiniteError: when a loss or a gradient is no finite number.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    report(", ".join(f"{len(pairs)} {name} pairs" for name, pairs in corpus._asdict().items()))
    tokenizers = _tokenizers(recipe, run, corpus.train)
    report(f"{tokenizers[0].vocabulary_size} source ids, {tokenizers[1].vocabulary_size} target ids")
    checkpoint = run.checkpoint()
    batches = _batches(recipe, corpus, tokenizers, run, report)
    with device_scope(recipe.training.devices):
        model = _model(recipe, tokenizers, checkpoint, len(batches[0]), report)
    begun = None
    if checkpoint.step:
        begun = InterruptedEpoch(checkpoint.epoch, checkpoint.step, run.checkpoints.state(checkpoint))
    keeper = CheckpointKeeper(run, recipe.training, run.history(checkpoint.epoch), begun)
    callbacks = [
        RepeatableEpochs(recipe.training.seed, batches[0], begun),
        NonFiniteStop(run, batches[0], tokenizers, begun),
        Validation(batches[1].dataset),
        *_decoding(recipe, corpus, tokenizers, run),
        keeper,
    ]
    _fit(model, recipe.training, batches[0], callbacks, checkpoint)
    _average(recipe.training, run, report)
    return keeper.history


def _fit(model, options, train_batches, callbacks, checkpoint):
    """An epoch of which a part is done has batches of its own number, hence a `fit` of its own."""
    keeper, done = callbacks[-1], checkpoint.epoch
    pieces = [(done + 1, checkpoint.step)] if checkpoint.step else []
    for last, first_batch in [*pieces, (options.epochs, 0)]:
        if done >= last or is_exhausted(keeper.history, options.monitor, options.patience):
            continue
        train_batches.begin_epoch(done, **({"first_batch": first_batch} if first_batch else {}))
        model.fit(
            train_batches.dataset(),
            epochs=last,
            initial_epoch=done,
            shuffle=False,  # `Batches` does, in a way that can be repeated
            callbacks=callbacks,
            verbose=1 if sys.stdout.isatty() else 2,
        )
        done = last


def _average(options, run, report):
    wanted = options.average_last or options.average_best
    count = min(wanted, len(run.checkpoints.weights()))
    if count and not run.averaged_path.exists():
        epochs = average_epochs(run, **{"last" if options.average_last else "best": count})
        report(f"averaged.keras: the mean of the weights after epochs {', '.join(map(str, epochs))}")


def _model(recipe, tokenizers, checkpoint, batches_an_epoch, report):
    if checkpoint.path is None:
        model = _compiled(recipe, tokenizers, batches_an_epoch * recipe.training.epochs)
    else:
        inside = f" and {checkpoint.step} batches" if checkpoint.step else ""
        report(f"Resuming after epoch {checkpoint.epoch}{inside} of {recipe.training.epochs}")
        model = keras.models.load_model(checkpoint.path)
    report(f"{model.count_params():,} parameters")
    return model


def _decoding(recipe, corpus, tokenizers, run):
    """The callbacks that decode, where the recipe asks for them."""
    callbacks = []
    if recipe.training.validation_decoding is not None:
        callbacks.append(DecodingMetrics(recipe, tokenizers, corpus.validation))
    if recipe.training.tensorboard:
        sources = [source for source, _ in corpus.validation[:3]]
        callbacks.append(TensorBoardLog(run.path / "tensorboard", recipe, tokenizers, sources))
    return callbacks


def _tokenizers(recipe, run, pairs):
    tokenizers = run.tokenizers()
    if tokenizers is None:
        tokenizers = train_tokenizers(recipe, pairs)
        run.save_tokenizers(*tokenizers)
    return tokenizers


def _batches(recipe, corpus, tokenizers, run, report):
    limits = recipe.data.max_source_length, recipe.data.max_target_length
    train = encode_pairs(corpus.train, *tokenizers, *limits)
    validation = encode_pairs(corpus.validation, *tokenizers, *limits)
    report_vocabularies(run, tokenizers, train, validation, report)
    if train.dropped_long:
        report(f"{train.dropped_long} training pairs left out: longer than {limits[0]} or {limits[1]} tokens")
    options = recipe.training
    kind, size = (
        (TokenBatches, options.batch_tokens) if options.batch_tokens else (Batches, options.batch_size)
    )
    rates = options.source_word_dropout, options.target_word_dropout
    noisy = with_word_dropout(kind, *rates) if any(rates) else kind
    made = (
        noisy(train.sources, train.targets, size, seed=options.seed),
        kind(validation.sources, validation.targets, size),
    )
    if options.batch_tokens:
        report(f"{made[0].summary()}; validation: {made[1].summary()}")
    return made


def _compiled(recipe, tokenizers, num_batches):
    options = recipe.training
    sizes = (tokenizer.vocabulary_size for tokenizer in tokenizers)
    model = build_model(recipe.model, *sizes, dtype=options.precision)
    model.compile(
        make_optimizer(options, num_batches),
        SequenceCrossentropy(options.label_smoothing),
        loss_weights=loss_weight(),
        jit_compile=False,
    )
    return model
