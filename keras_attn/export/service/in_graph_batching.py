"""Batches that form inside the graph, in whatever server runs it."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.export.service.rows import of_each_row


class InGraphBatching(NamedTuple):
    """Settings of TensorFlow Serving's own scheduler, `BatchFunction`.

    Concurrent requests are joined to one run. Every signature has a queue of its own.

    Attributes:
        max_batch_size: rows of one run; larger requests run alone.
        timeout_micros: microseconds that a request waits for company.
        num_threads: runs at once.
        max_enqueued_batches: how many batches may wait; requests beyond that are refused.
    """

    max_batch_size: int = 32
    timeout_micros: int = 2000
    num_threads: int = 2
    max_enqueued_batches: int = 100


def batched(answer, service, batching):
    """A method of a service whose concurrent calls are joined.

    Inputs are checked before they are joined, so that a request that is refused fails alone.

    Args:
        answer: a function of a dictionary of inputs, all `[B]`, to one of outputs.
        service: a `Service`, which checks the inputs.
        batching: `InGraphBatching`.

    Returns:
        A function like `answer`.
    """

    def run(inputs):
        rows = inputs["text"]
        checked = {
            name: service.checked(name, of_each_row(name, value, rows), rows)
            for name, value in inputs.items()
        }
        checked = service.checked_together(checked)
        flat = tf.function(lambda *values: list(direct(values).values()), autograph=False)
        keys = []

        def direct(values):
            outputs = answer(dict(zip(checked, values, strict=True)))
            keys[:] = outputs
            return outputs

        values = list(checked.values())
        outputs = tf.cond(
            tf.shape(rows)[0] <= batching.max_batch_size,
            lambda: _together(flat, batching)(*values),
            lambda: flat(*values),
        )
        return dict(zip(keys, outputs, strict=True))

    return run


def _together(function, batching):
    return tf.nondifferentiable_batch_function(
        batching.num_threads,
        batching.max_batch_size,
        batching.timeout_micros,
        max_enqueued_batches=batching.max_enqueued_batches,
        # The parts of a request that is split might be of different lengths.
        enable_large_batch_splitting=False,
        autograph=False,
    )(function)
