"""Settings of a batch that decoding does not change."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.typing import Tensor


class Task(NamedTuple):
    """The conditions of one call of `decode`.

    Attributes:
        end_id: the id that ends a hypothesis.
        limits: int32 `[]` or `[B]`, the largest number of tokens.
        source_mask: boolean `[B, S]`, True = not a pad.
        batch: int32 `[]`, B.
    """

    end_id: int | Tensor
    limits: Tensor
    source_mask: Tensor
    batch: Tensor

    @property
    def has_row_limits(self) -> bool:
        """Whether every row has a limit of its own; else the loop's own limit does for all."""
        return self.limits.shape.rank == 1

    def source_lengths(self) -> Tensor:
        """int32 `[B]`, pads not counted."""
        return tf.reduce_sum(tf.cast(self.source_mask, tf.int32), axis=1)

    def at_limit(self, length: int | Tensor) -> Tensor:
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


class RelativeLength:
    """A length for every row, in proportion to its source.

    ```
    length = min(floor(ratio * S + extra), at_most),   S = number of source tokens, pads not counted
    ```

    For `max_length` of `decode` and for `MinimumLength`.

    Args:
        ratio: a number or float `[B]`.
        extra: a number or float `[B]`. Default 0.
        at_most: the largest length, a number or int32 `[B]`; None for no other limit.

    Example:

    >>> import tensorflow as tf
    >>> from keras_attn.decoding import RelativeLength
    >>> RelativeLength(1.5, 10, at_most=20)(tf.constant([3, 100])).numpy().tolist()
    [14, 20]

    Reference: fairseq's `--max-len-a` and `--max-len-b` (Ott et al. 2019).
    """

    def __init__(
        self, ratio: float | Tensor, extra: float | Tensor = 0, *, at_most: int | Tensor | None = None
    ) -> None:
        self.ratio = ratio
        self.extra = extra
        self.at_most = at_most

    def __call__(self, source_lengths: Tensor) -> Tensor:
        """Lengths int32 `[B]` from the sources' int32 `[B]`."""
        relative = tf.cast(self.ratio, tf.float32) * tf.cast(source_lengths, tf.float32)
        lengths = tf.cast(tf.floor(relative + tf.cast(self.extra, tf.float32)), tf.int32)
        return lengths if self.at_most is None else tf.minimum(lengths, tf.cast(self.at_most, tf.int32))
