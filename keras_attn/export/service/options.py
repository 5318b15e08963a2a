"""Inputs of requests: one table of everything that the export knows of each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.export.service.rows import of_each_row
from keras_attn.export.service.stream_events import NO_STREAM
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import required


class Option(NamedTuple):
    """An input of a signature.

    Attributes:
        dtype: of its tensor.
        default: value of an omitted input, of the row that fills up an empty batch, and of a warm-up request;
            or a function of a `Service` that returns it.
        expected: the allowed values in words; `{max_length}` is the largest length of the model.
        is_allowed: a function of values `[B]` and the model's largest length to booleans `[B]`; None where
            any value is allowed, or where another check decides, as for texts.
        probes: values that verification tries, row after row; or a function of the largest length that
            returns them. `default` where empty.
        rank: number of axes, the batch counted.
        joinable: whether requests with this input can be joined to one batch.
    """

    dtype: tf.DType
    default: Any
    expected: str = "any value"
    is_allowed: Callable[[Any, int], Any] | None = None
    probes: Any = ()
    rank: int = 1
    joinable: bool = True

    @property
    def spec(self):
        """The `tf.TensorSpec` of its tensor."""
        return tf.TensorSpec([None] * self.rank, self.dtype)

    def default_of(self, service):
        """The default in an export of a `Service`."""
        return self.default(service) if callable(self.default) else self.default

    def probes_of(self, max_length):
        """Values that verification tries, at least one; see `probes`."""
        return (self.probes(max_length) if callable(self.probes) else self.probes) or (self.default,)


# `serving_default` decodes up to the model's largest length, by the same loop.
_LONGEST_PROBE = 32


def _probed_lengths(max_length):
    longest = min(max_length, _LONGEST_PROBE)
    return range(longest, max(longest - 3, 0), -1)


OPTIONS = {
    "text": Option(tf.string, ""),
    "target": Option(tf.string, ""),
    # Requests whose ids have different widths cannot be joined.
    "ids": Option(tf.int32, special_ids.PAD, rank=2, joinable=False),
    "lengths": Option(tf.int32, 0),
    # A request that waits must not hold up others.
    "wait": Option(tf.bool, False, joinable=False),
    "stream": Option(
        tf.int64, NO_STREAM, "a number of at least 0, or -1 for no events", lambda x, _: x >= NO_STREAM
    ),
    "max_length": Option(
        tf.int32,
        lambda service: service.text_to_text.max_length,
        "1 to {max_length}",
        lambda x, max_length: (x >= 1) & (x <= max_length),
        _probed_lengths,
    ),
    "target_prefix": Option(tf.string, ""),
    "length_penalty": Option(
        tf.float32,
        lambda service: service.length_penalty.strength,
        "-10 to 10",
        lambda x, _: tf.abs(x) <= 10,  # beyond, the score of a long text is not a finite number
        (0.0, 0.6, 1.0),
    ),
    "temperature": Option(
        tf.float32, 1.0, "a number above 0", lambda x, _: (x > 0) & tf.math.is_finite(x), (1.0, 0.5, 2.0)
    ),
    "top_k": Option(tf.int32, 0, "at least 0", lambda x, _: x >= 0, (0, 5, 1, 0)),
    "top_p": Option(tf.float32, 1.0, "above 0 and at most 1", lambda x, _: (x > 0) & (x <= 1), (1.0, 0.9)),
    "seed": Option(tf.int64, 0, probes=tuple(range(11))),
}


def checked_option(name, values, rows, max_length):
    """One of a request's options, repeated for every row and refused where it is out of range.

    Args:
        name: of `OPTIONS`.
        values: `[B]` or `[1]`.
        rows: a tensor `[B, ...]`.
        max_length: the model's largest length.

    Returns:
        `[B]`. A value that is not allowed is an `InvalidArgumentError`, in graph too.
    """
    option, values = OPTIONS[name], of_each_row(name, values, rows)
    if option.is_allowed is None:
        return values
    allowed = option.is_allowed(values, max_length)
    message = f"`{name}` is out of range. Expected {option.expected.format(max_length=max_length)}."
    return required(values, allowed, message, tf.boolean_mask(values, ~allowed)[:1])
