"""Trains the model of a recipe with `model.fit`, resuming where an earlier run of it stopped."""

import sys
from collections.abc import Callable
from functools import partial

import keras

from keras_attn.losses import RDropCrossentropy, SequenceCrossentropy
from keras_attn.training.callbacks.checkpoint_keeper import CheckpointKeeper
from keras_attn.training.callbacks.decoding_metrics import DecodingMetrics
from keras_attn.training.callbacks.interrupted_epoch import InterruptedEpoch
from keras_attn.training.callbacks.non_finite import NonFiniteStop
from keras_attn.training.callbacks.random_states import RepeatableEpochs
from keras_attn.training.callbacks.tensorboard_log import TensorBoardLog
from keras_attn.training.callbacks.validation import Validation
from keras_attn.training.data.encoded_pairs import check_lengths, encode_pairs
from keras_attn.training.data.pairs import line_numbers
from keras_attn.training.data.split import PairsSplit
from keras_attn.training.data.vocabulary import report_vocabularies
from keras_attn.training.distribution.backends import compiles
from keras_attn.training.distribution.devices import (
    data_parallel,
    device_scope,
    loss_weight,
    num_replicas,
    scope_of,
)
from keras_attn.training.distribution.processes import ALONE, Processes
from keras_attn.training.from_recipe.batches import make_batches
from keras_attn.training.from_recipe.model import build_model
from keras_attn.training.from_recipe.optimizer import make_optimizer
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.recipe.section import RecipeError
from keras_attn.training.run.averaging import average_epochs
from keras_attn.training.run.best_epoch import History, is_exhausted
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.training.run.tokenizers import tokenizers_of_run


def train(
    recipe: Recipe,
    corpus: PairsSplit,
    run: RunFolder,
    report: Callable[[str], object] = print,
    processes: Processes = ALONE,
) -> History:
    """Trains until `training.epochs` epochs are done, or `training.patience` is at its end.

    What a checkpoint holds is not repeated. Where the recipe asks for an average, it is written at the end.

    Args:
        recipe: a `Recipe`.
        corpus: the `PairsSplit` that `load_corpus` gives for it.
        run: the `RunFolder` of the run; begun with the same recipe.
        report: called with each line of progress.
        processes: those that train together, each of which calls this: see `join_processes`, `shared_run`.

    Returns:
        The history, one dictionary an epoch.

    Raises:
        NonFiniteError: when a loss or a gradient is no finite number.
        RunError: for several processes where `training.devices` is one.
    """
    scope, num_devices = data_parallel(recipe.training.devices, processes)
    with scope:
        return _train(recipe, corpus, run, report, processes, num_devices)


def _train(recipe, corpus, run, report, processes, num_devices):
    keras.utils.set_random_seed(recipe.training.seed)
    report(", ".join(f"{len(pairs)} {name} pairs" for name, pairs in corpus._asdict().items()))
    tokenizers = tokenizers_of_run(recipe, run, corpus.train)
    report(f"{tokenizers[0].vocabulary_size} source ids, {tokenizers[1].vocabulary_size} target ids")
    checkpoint = run.checkpoint()
    encoded = _encoded(recipe, corpus, tokenizers, run, report)
    with device_scope(recipe.training.devices):
        batches = make_batches(recipe, tokenizers, *encoded, processes, num_devices, num_replicas())
        model = _model(recipe, tokenizers, checkpoint, len(batches[0]), report)
    _check_room(model, recipe)
    if recipe.training.batch_tokens:
        report(f"{batches[0].summary()}; validation: {batches[1].summary()}")
    begun = None
    if checkpoint.step:
        begun = InterruptedEpoch(checkpoint.epoch, checkpoint.step, run.checkpoints.state(checkpoint))
    keeper = CheckpointKeeper(run, recipe.training, run.history(checkpoint.epoch), begun)
    lines_of = partial(line_numbers, recipe.data.train, folder=recipe.data.folder)
    callbacks = [
        RepeatableEpochs(recipe.training.seed, batches[0], begun),
        NonFiniteStop(run, batches[0], encoded[0].pairs, lines_of, begun),
        Validation(batches[1].dataset, recipe.training.label_smoothing),
        *_decoding(recipe, corpus, tokenizers, run, model),
        keeper,
    ]
    report("The first step is traced and compiled before it runs, which takes a while")
    verbose = 0 if processes.index else 1 if sys.stdout.isatty() else 2
    _fit(model, recipe.training, batches[0], callbacks, checkpoint, verbose)
    _average(recipe.training, run, report, is_stale=len(keeper.history) > checkpoint.epoch)
    return keeper.history


def _fit(model, options, train_batches, callbacks, checkpoint, verbose):
    """A begun epoch has batches of its own number, R-Drop a loss of its own: each is a `fit` of its own."""
    keeper, done = callbacks[-1], checkpoint.epoch
    pieces = [(done + 1, checkpoint.step)] if checkpoint.step else []
    if options.r_drop:
        pieces.append((min(options.r_drop_after, options.epochs), 0))
    for last, first_batch in [*pieces, (options.epochs, 0)]:
        if done >= last or is_exhausted(keeper.history, options.monitor, options.patience):
            continue
        if type(model.loss) is not type(_loss(options, done)):
            _compile(model, model.optimizer, _loss(options, done))
        train_batches.begin_epoch(done, **({"first_batch": first_batch} if first_batch else {}))
        model.fit(
            train_batches.dataset(),
            epochs=last,
            initial_epoch=done,
            shuffle=False,  # `Batches` does, in a way that can be repeated
            callbacks=callbacks,
            verbose=verbose,
        )
        done = last


def _average(options, run, report, is_stale):
    wanted = options.average_last or options.average_best
    count = min(wanted, len(run.checkpoints.weights()))
    if count and (is_stale or not run.averaged_path.exists()):
        epochs = average_epochs(run, **{"last" if options.average_last else "best": count})
        fewer = f", of {wanted} that were asked for" if count < wanted else ""
        report(f"averaged.keras: the mean of the weights after epochs {', '.join(map(str, epochs))}{fewer}")


def _model(recipe, tokenizers, checkpoint, batches_an_epoch, report):
    if checkpoint.path is None:
        model = _compiled(recipe, tokenizers, batches_an_epoch * recipe.training.epochs)
    else:
        inside = f" and {checkpoint.step} batches" if checkpoint.step else ""
        report(f"Resuming after epoch {checkpoint.epoch}{inside} of {recipe.training.epochs}")
        model = keras.models.load_model(checkpoint.path)
        # The backend and the number of devices may have been others.
        _compile(model, model.optimizer, _loss(recipe.training, checkpoint.epoch))
    report(f"{model.count_params():,} parameters")
    return model


def _decoding(recipe, corpus, tokenizers, run, model):
    """The callbacks that decode, where the recipe asks for them."""
    callbacks = []
    if recipe.training.validation_decoding is not None or recipe.training.tensorboard:
        limit, _ = _fitting(model, recipe.decoding.max_source_length, recipe.decoding.max_length)
        check_lengths(corpus.validation, tokenizers[0], limit, "validation")
    if recipe.training.validation_decoding is not None:
        callbacks.append(DecodingMetrics(recipe, tokenizers, corpus.validation))
    if recipe.training.tensorboard:
        sources = [source for source, _ in corpus.validation[:3]]
        callbacks.append(TensorBoardLog(run.path / "tensorboard", recipe, tokenizers, sources))
    return callbacks


def _encoded(recipe, corpus, tokenizers, run, report):
    """The pairs to train on and those of the validation, as ids."""
    limits = recipe.data.max_source_length, recipe.data.max_target_length
    train = encode_pairs(corpus.train, *tokenizers, *limits)
    validation = encode_pairs(corpus.validation, *tokenizers, *limits, part="validation")
    report_vocabularies(run, tokenizers, train, validation, report)
    for name, encoded in (("training", train), ("validation", validation)):
        if encoded.dropped_long:
            left_out = f"{encoded.dropped_long} {name} pairs left out"
            report(f"{left_out}: longer than {limits[0]} or {limits[1]} tokens")
    return train, validation


def _compiled(recipe, tokenizers, num_batches):
    options = recipe.training
    sizes = (tokenizer.vocabulary_size for tokenizer in tokenizers)
    try:
        model = build_model(recipe.model, *sizes, dtype=options.precision)
    except (TypeError, ValueError) as error:  # what does not go together: the layers know best which
        raise RecipeError(f"describes no model: {error}", "model") from error
    _compile(model, make_optimizer(options, num_batches), _loss(options, epoch=0))
    return model


def _check_room(model, recipe):
    """Checks that a model with a table of positions has room for pairs and outputs."""
    data, decoding = recipe.data, recipe.decoding
    lengths = data.max_source_length, data.max_target_length + 1  # the start token
    fitting = _fitting(model, *lengths)
    if fitting != lengths:
        raise RecipeError(
            f"is more than the model has positions for. Expected at most {fitting[0]} source and "
            f"{fitting[1] - 1} target tokens. Received: {lengths[0]} and {lengths[1] - 1}. Lower the limits.",
            "data.max_source_length",
        )
    if min(_fitting(model, decoding.max_source_length, decoding.max_length)) < 1:
        raise RecipeError(
            "leaves the model no positions for a source. Expected less than the table of positions holds. "
            f"Received: {decoding.max_length}. Lower it.",
            "decoding.max_length",
        )


def _fitting(model, *lengths):
    return model.fitting_lengths(*lengths) if hasattr(model, "fitting_lengths") else lengths


def _compile(model, optimizer, loss):
    with scope_of(model):
        model.compile(optimizer, loss, loss_weights=loss_weight(), jit_compile=compiles())
        # Keras would build it within the first trace of a step, and TensorFlow then trace the step again.
        if not optimizer.built:
            optimizer.build(model.trainable_variables)


def _loss(options, epoch):
    """The loss that epoch `epoch`, counted from 0, minimizes."""
    if options.r_drop and epoch >= options.r_drop_after:
        return RDropCrossentropy(options.r_drop, options.label_smoothing)
    return SequenceCrossentropy(options.label_smoothing)
