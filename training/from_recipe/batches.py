"""From the pairs and the `[training]` section of a recipe to the batches of its training."""

from functools import partial

from keras_attn.protocols import Tokenizer
from keras_attn.training.batches.batch_sequence import BatchSequence
from keras_attn.training.batches.batches import Batches, FewShapesBatches
from keras_attn.training.batches.repeated_rows import EveryRowTwice
from keras_attn.training.batches.rows_of_process import RowsOfProcess
from keras_attn.training.batches.sampled_texts import SampledTexts
from keras_attn.training.batches.subword_sampling import SubwordSampling
from keras_attn.training.batches.token_batches import TokenBatches
from keras_attn.training.batches.word_dropout import WordDropout
from keras_attn.training.data.encoded_pairs import Encoded
from keras_attn.training.distribution.backends import compiles
from keras_attn.training.distribution.processes import Processes
from keras_attn.training.recipe.recipe import Recipe


def make_batches(
    recipe: Recipe,
    tokenizers: tuple[Tokenizer, Tokenizer],
    train: Encoded,
    validation: Encoded,
    processes: Processes,
    num_devices: int,
    num_replicas: int = 1,
) -> tuple[BatchSequence, BatchSequence]:
    """Batches to train on, and those of the validation pairs.

    Args:
        recipe: a `Recipe`.
        tokenizers: of source and target.
        train: `Encoded` training pairs.
        validation: `Encoded` validation pairs.
        processes: `Processes`; every one gets its rows of every batch.
        num_devices: of all processes together, where rows are shared out here.
        num_replicas: number of devices that TensorFlow shares rows out among.

    Returns:
        (`Batches` of an epoch in the order of the seed, `Batches` in the order of the pairs).
    """
    options = recipe.training
    by_pairs = FewShapesBatches if compiles() else Batches

    def batches(sources, targets, seed=None) -> BatchSequence:
        if options.batch_tokens:
            return TokenBatches(sources, targets, options.batch_tokens, seed)
        return by_pairs(sources, targets, options.batch_size, seed)

    if options.subword_sampling:
        sources, targets = _sampled_texts(recipe, tokenizers, train)
        first = batches(sources.rows(0), targets.rows(0), options.seed)
        step, epochs = by_pairs.width_step, options.subword_sampling_epochs
        trained: BatchSequence = SubwordSampling(first, sources, targets, step, epochs)
    else:
        trained = batches(train.sources, train.targets, options.seed)
    if options.source_word_dropout or options.target_word_dropout:
        trained = WordDropout(trained, options.source_word_dropout, options.target_word_dropout, options.seed)
    validated = batches(validation.sources, validation.targets)
    if num_devices > 1:
        share = partial(RowsOfProcess, index=processes.index, count=processes.count, num_devices=num_devices)
        trained, validated = share(trained), share(validated)
    if options.r_drop:
        trained = EveryRowTwice(trained, num_replicas, options.r_drop_after)
    return trained, validated


def _sampled_texts(recipe, tokenizers, train):
    """`SampledTexts` of the sources and of the targets."""
    limits = recipe.data.max_source_length, recipe.data.max_target_length
    columns = zip(*train.pairs, strict=True)
    return [
        SampledTexts(
            tokenizer,
            recipe.tokenizer.model_type,
            recipe.training.subword_sampling,
            texts,
            rows,
            limit,
            (recipe.training.seed, side),
        )
        for side, (tokenizer, texts, rows, limit) in enumerate(
            zip(tokenizers, columns, (train.sources, train.targets), limits, strict=True)
        )
    ]
