"""What stays the same while one batch is decoded."""

from typing import Any, NamedTuple

import tensorflow as tf


class Task(NamedTuple):
    """The conditions of one call of `decode`.

    Attributes:
        end_id: the id that ends a hypothesis.
        limits: int32 `[]` or `[B]`, the largest number of tokens.
        source_mask: boolean `[B, S]`, True = not a pad.
        batch: int32 `[]`, B.
    """

    end_id: int
    limits: Any
    source_mask: Any
    batch: Any

    @property
    def has_row_limits(self):
        """Whether every row has a limit of its own; else the loop's own limit does for all."""
        return self.limits.shape.rank == 1

    def source_lengths(self):
        """int32 `[B]`, pads not counted."""
        return tf.reduce_sum(tf.cast(self.source_mask, tf.int32), axis=1)

    def at_limit(self, length):
        """Boolean `[]` or `[B]`: whether hypotheses of this length may not grow."""
        return length >= self.limits


def make_task(source, end_id, max_length, pad_id):
    """The `Task` of a source `[B, S]`; `max_length` as of `decode`, less than 0 is 0."""
    task = Task(token_id(end_id), None, tf.not_equal(source, pad_id), tf.shape(source)[0])
    if callable(max_length):
        max_length = max_length(task.source_lengths())
    return task._replace(limits=tf.maximum(tf.cast(tf.convert_to_tensor(max_length), tf.int32), 0))


def token_id(value):
    """A token id as tokens are: of NumPy, or in a tensor of another type, it would not go with them."""
    return tf.cast(value, tf.int32) if tf.is_tensor(value) else int(value)


def per_row(value, rank, dtype=tf.float32):
    """A setting, one number or `[B]`, shaped to broadcast to a tensor `[B, ...]` of the given rank."""
    value = tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)
    return value if value.shape.rank == 0 else tf.reshape(value, [-1] + [1] * (rank - 1))
