"""Lengths that grow with the source."""

import tensorflow as tf


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

    def __init__(self, ratio, extra=0, at_most=None):
        self.ratio = ratio
        self.extra = extra
        self.at_most = at_most

    def __call__(self, source_lengths):
        """Lengths int32 `[B]` from the sources' int32 `[B]`."""
        relative = tf.cast(self.ratio, tf.float32) * tf.cast(source_lengths, tf.float32)
        lengths = tf.cast(tf.floor(relative + tf.cast(self.extra, tf.float32)), tf.int32)
        return lengths if self.at_most is None else tf.minimum(lengths, tf.cast(self.at_most, tf.int32))
