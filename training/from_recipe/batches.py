"""From the pairs and the `[training]` section of a recipe to the batches of its training."""

from keras_attn.training.batches.batches import Batches, FewShapesBatches
from keras_attn.training.batches.repeated_rows import with_every_row_twice
from keras_attn.training.batches.sampled_texts import SampledTexts
from keras_attn.training.batches.subword_sampling import with_subword_sampling
from keras_attn.training.batches.token_batches import TokenBatches
from keras_attn.training.batches.word_dropout import with_word_dropout
from keras_attn.training.distribution.backends import compiles
from keras_attn.training.distribution.devices import with_rows_of_process


def make_batches(recipe, tokenizers, train, validation, processes, num_devices, num_replicas=1):
    """The batches to train on, and those of the validation pairs.

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
    kind, size = (
        (TokenBatches, options.batch_tokens) if options.batch_tokens else (by_pairs, options.batch_size)
    )
    trained, rows = kind, (train.sources, train.targets)
    if options.subword_sampling:
        sampled = _sampled_texts(recipe, tokenizers, train)
        trained = with_subword_sampling(kind, *sampled, by_pairs.width_step, options.subword_sampling_epochs)
        rows = [texts.rows(0) for texts in sampled]
    rates = options.source_word_dropout, options.target_word_dropout
    if any(rates):
        trained = with_word_dropout(trained, *rates)
    if num_devices > 1:
        trained, kind = (with_rows_of_process(made, *processes, num_devices) for made in (trained, kind))
    if options.r_drop:
        trained = with_every_row_twice(trained, num_replicas, options.r_drop_after)
    return (
        trained(*rows, size, seed=options.seed),
        kind(validation.sources, validation.targets, size),
    )


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
