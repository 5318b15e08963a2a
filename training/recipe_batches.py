"""From the pairs and the `[training]` section of a recipe to the batches of its training."""

from .batches import Batches
from .devices import with_rows_of_process
from .repeated_rows import with_every_row_twice
from .token_batches import TokenBatches
from .word_dropout import with_word_dropout


def make_batches(options, train, validation, processes, num_devices, num_replicas=1):
    """The batches to train on, and those of the validation pairs.

    Args:
        options: the `[training]` section.
        train: `Encoded` training pairs.
        validation: `Encoded` validation pairs.
        processes: `Processes`; every one gets its rows of every batch.
        num_devices: of all processes together, where rows are shared out here.
        num_replicas: number of devices that TensorFlow shares rows out among.

    Returns:
        (`Batches` of an epoch in the order of the seed, `Batches` in the order of the pairs).
    """
    kind, size = (
        (TokenBatches, options.batch_tokens) if options.batch_tokens else (Batches, options.batch_size)
    )
    rates = options.source_word_dropout, options.target_word_dropout
    trained = with_word_dropout(kind, *rates) if any(rates) else kind
    if num_devices > 1:
        trained, kind = (with_rows_of_process(made, *processes, num_devices) for made in (trained, kind))
    if options.r_drop:
        trained = with_every_row_twice(trained, num_replicas)
    return (
        trained(train.sources, train.targets, size, seed=options.seed),
        kind(validation.sources, validation.targets, size),
    )
