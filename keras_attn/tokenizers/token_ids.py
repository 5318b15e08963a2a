"""Text to the ids that a model takes, and ids to the pieces that people read."""

import tensorflow as tf

from keras_attn.protocols import Tokenizer
from keras_attn.tokenizers import special_ids
from keras_attn.typing import Tensor

TOO_LONG = "is too long"
# No SentencePiece piece and no character needs more bytes than this, so longer text is surely too long and is
# refused before it is split.
_MAX_BYTES_PER_TOKEN = 64


def token_ids(tokenizer: Tokenizer, text: Tensor, max_tokens: int, name: str = "text") -> Tensor:
    """Text to dense ids, each row ended by the end token.

    Args:
        tokenizer: a `keras_attn.protocols.Tokenizer`.
        text: strings `[B]` in UTF-8.
        max_tokens: the largest number of tokens, the end token not counted; more are an error, in graph.
        name: what to call the text in that error.

    Returns:
        int32 ids `[B, S]`, padded with 0.
    """
    ids, longest = _ragged_ids(tokenizer, text, max_tokens, name)
    ends = tf.fill(tf.stack([ids.nrows(), 1]), special_ids.END)
    ids = tf.concat([ids, ends], axis=1)
    # The shape is given so that an empty batch has a source axis too.
    return ids.to_tensor(special_ids.PAD, shape=tf.stack([tf.shape(text)[0], longest + 1]))


def prefix_ids(tokenizer: Tokenizer, text: Tensor, max_tokens: int, name: str) -> Tensor:
    """Text to ragged ids without an end token, `[B, None]`; see `token_ids`."""
    return _ragged_ids(tokenizer, text, max_tokens, name)[0]


def without_end(tokens: Tensor) -> Tensor:
    """Dense decoded tokens `[B, T]` as ragged ids, the end token and what fills up left out."""
    return tf.ragged.boolean_mask(tokens, tokens > special_ids.END)


def named_pieces(tokenizer: Tokenizer, ids: Tensor) -> Tensor:
    """Pieces of dense ids `[B, T]`: the end token as `</s>`, padding as ""."""
    return tf.where(tf.equal(ids, special_ids.END), "</s>", tokenizer.pieces(ids))


def at_most(tensor: Tensor, sizes: Tensor, limit: Tensor, message: str) -> Tensor:
    """`tensor`; raises with the message and the largest size if a size is over its limit."""
    return required(tensor, sizes <= limit, message, tf.reduce_max(sizes))


def required(tensor: Tensor, condition: Tensor, message: str, received: Tensor) -> Tensor:
    """`tensor`; raises unless all of `condition` is true.

    Args:
        tensor: any tensor.
        condition: boolean, any shape.
        message: what is wrong, what was expected and what to do.
        received: a tensor that is printed after it.

    Returns:
        `tensor`. Where the condition fails, it raises `tf.errors.InvalidArgumentError`, in graph too.
    """
    check = tf.debugging.Assert(tf.reduce_all(condition), [f"{message} Received:", received])
    with tf.control_dependencies([] if check is None else [check]):  # eagerly, it has raised by now
        return tf.identity(tensor)


def _ragged_ids(tokenizer, text, max_tokens, name):
    """Ragged ids `[B, None]` and the length of the longest row, both only if no row is too long."""

    def message(limit, unit):
        return f"`{name}` {TOO_LONG}: expected at most {limit} {unit}. Split it into sentences."

    max_bytes = max_tokens * _MAX_BYTES_PER_TOKEN
    text = at_most(text, tf.strings.length(text), max_bytes, message(max_bytes, "bytes"))
    ids = tokenizer.encode(text)
    lengths = tf.cast(ids.row_lengths(), tf.int32)
    flat = at_most(ids.flat_values, lengths, max_tokens, message(max_tokens, "tokens"))
    longest = tf.reduce_max(tf.concat([lengths, [0]], axis=0))
    return ids.with_flat_values(flat), longest
