"""Values per row: one for all rows is repeated, and ids are masked by their lengths."""

import tensorflow as tf

from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import at_most, required


def of_each_row(name, values, rows):
    """Repeats one value for every row.

    Args:
        name: what to call it in an error.
        values: `[B]`, or `[1]` for one that all rows share, as a default is.
        rows: a tensor `[B, ...]`.

    Returns:
        `[B]`. Another size is an `InvalidArgumentError`, in graph too.
    """
    batch, size = tf.shape(rows)[0], tf.shape(values)[0]
    message = f"`{name}` does not fit the batch. Expected one value for all rows, or one for each."
    values = required(values, tf.equal(size, batch) | tf.equal(size, 1), message, size)
    return tf.broadcast_to(values, batch[None])


def masked_ids(ids, lengths, vocabulary_size, max_tokens):
    """A caller's source ids as a model takes them, by their lengths alone.

    Args:
        ids: int32 `[B, S]`; what stands from `lengths` on is not looked at, whatever it is.
        lengths: int32 `[B]`.
        vocabulary_size: number of source ids.
        max_tokens: the largest length.

    Returns:
        int32 `[B, L + 1]`, L the largest length: each row ended by the end token and padded with 0.
    """
    lengths = of_each_row("lengths", lengths, ids)
    width = tf.shape(ids)[1]
    allowed = (lengths >= 0) & (lengths <= width)
    message = "`lengths` does not fit `ids`. Expected 0 to the number of columns in `ids`."
    lengths = required(lengths, allowed, message, tf.boolean_mask(lengths, ~allowed)[:1])
    message = f"`ids` is too long: expected at most {max_tokens} tokens. Split it into sentences."
    lengths = at_most(lengths, lengths, max_tokens, message)
    longest = tf.reduce_max(tf.concat([lengths, [0]], axis=0))
    ids = tf.pad(ids[:, :longest], [[0, 0], [0, 1]])  # [B, L + 1]
    places = tf.range(longest + 1)[None]
    inside, at_end = places < lengths[:, None], tf.equal(places, lengths[:, None])
    known = (ids > special_ids.END) & (ids < vocabulary_size)
    message = f"`ids` holds what is no token. Expected {special_ids.END + 1} to {vocabulary_size - 1}."
    ids = required(ids, known | ~inside, message, tf.boolean_mask(ids, inside & ~known)[:1])
    return tf.where(inside, ids, tf.where(at_end, special_ids.END, special_ids.PAD))


def given_lengths(mask):
    """How many places of each row a mask `[B, S]` keeps: int32 `[B]`."""
    return tf.math.count_nonzero(mask, axis=1, dtype=tf.int32)
