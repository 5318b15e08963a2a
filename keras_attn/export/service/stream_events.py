"""Events that carry text while tokens are decoded."""

import secrets
from typing import NamedTuple

import tensorflow as tf

from keras_attn.decoding.results import count_to_end
from keras_attn.text_to_text import is_empty
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import without_end

# What `stream` is for a row that nobody follows.
NO_STREAM = -1
# More events than these are dropped, so that a run whose events nobody reads neither waits nor fills memory.
_MOST_WAITING = 4096
_TYPES = (tf.int64, tf.int32, tf.string, tf.bool)
_NOTHING = (NO_STREAM, 0, "", False)


class Event(NamedTuple):
    """Texts as far as they are known. Tensors `[B]`.

    Attributes:
        stream: int64, the caller's number of each text; `NO_STREAM` where there is no event.
        length: int32, how many of its tokens are known, the end token counted.
        text: strings, the text so far: it begins with that of every earlier event of this stream. Characters
            are whole.
        last: booleans, whether it is the whole text.
    """

    stream: tf.Tensor
    length: tf.Tensor
    text: tf.Tensor
    last: tf.Tensor


class EventQueue:
    """A first-in-first-out queue of events, one of the SavedModel's own.

    `put` and `take` find it by a name that no other export has: both are traced into signatures of their own.
    Whoever waits in `take` holds up no thread of the graph.

    Args:
        most: events that may wait; further ones are dropped. An event that is lost does no harm, as the next
            one says all that it said; only the last of a run has no next one.
    """

    def __init__(self, most=_MOST_WAITING):
        self._name = f"stream_events_{secrets.token_hex(8)}"
        self._most = most

    def put(self, event):
        """Appends an event for each row that somebody follows, unless too many wait.

        Args:
            event: an `Event`.
        """
        followed = event.stream > NO_STREAM
        parts = [tf.boolean_mask(part, followed) for part in event]
        queue = self._queue()

        def append():
            tf.raw_ops.QueueEnqueueManyV2(handle=queue, components=parts)
            return tf.constant(True)

        # Runs at the same time may exceed the limit by a few; to wait for room could be to wait for ever.
        has_room = tf.raw_ops.QueueSizeV2(handle=queue) < self._most
        tf.cond(has_room, append, lambda: tf.constant(False))

    def take(self, wait):
        """The oldest events, an event a row.

        Args:
            wait: booleans `[B]`; where any is True and there is no event, the first one is waited for.

        Returns:
            `Event`, `NO_STREAM` in the rows for which there was none.
        """
        queue, rows = self._queue(), tf.shape(wait)[0]
        least = tf.cast(tf.reduce_any(wait), tf.int32)
        count = tf.maximum(tf.minimum(tf.raw_ops.QueueSizeV2(handle=queue), rows), least)
        parts = tf.raw_ops.QueueDequeueManyV2(handle=queue, n=count, component_types=_TYPES)
        return Event(
            *(
                tf.ensure_shape(tf.concat([part, tf.fill([rows - count], tf.cast(nothing, kind))], 0), [None])
                for part, kind, nothing in zip(parts, _TYPES, _NOTHING, strict=True)
            )
        )

    def _queue(self):
        return tf.raw_ops.FIFOQueueV2(
            component_types=_TYPES, shapes=[[]] * len(_TYPES), capacity=-1, shared_name=self._name
        )


# A character of which some bytes are still to come is decoded as this, and so is the unknown token: neither
# is shown before something stands behind it.
_UNFINISHED = r"\x{FFFD}+$"


def text_events(events, tokenizer, stream, source):
    """A function for `decode`'s `on_step` that puts the text so far of each row that somebody follows.

    Args:
        events: an `EventQueue`.
        tokenizer: of the target.
        stream: int64 `[B]`.
        source: int32 ids `[B, S]`; rows without text say nothing until they end.

    Returns:
        A function of int32 tokens `[B, t]`.
    """
    stream = tf.where(is_empty(source), tf.cast(NO_STREAM, tf.int64), stream)
    followed = stream > NO_STREAM
    any_followed = tf.reduce_any(followed)

    def put(tokens):
        tokens = tf.boolean_mask(tokens, followed)
        known = tf.not_equal(tokens, special_ids.PAD)
        lengths = tf.minimum(
            count_to_end(tokens, special_ids.END), tf.math.count_nonzero(known, axis=1, dtype=tf.int32)
        )
        text = tf.strings.regex_replace(tokenizer.decode(without_end(tokens)), _UNFINISHED, "")
        last = tf.zeros_like(lengths, tf.bool)
        events.put(Event(tf.boolean_mask(stream, followed), lengths, text, last))
        return tf.constant(True)

    def on_step(tokens):
        tf.cond(any_followed, lambda: put(tokens), lambda: tf.constant(False))

    return on_step


def put_last(events, stream, lengths, texts):
    """Puts the whole text of each row that somebody follows, as its last event.

    Args:
        events: an `EventQueue`.
        stream: int64 `[B]`.
        lengths: int32 `[B]`, tokens of each text.
        texts: strings `[B]`.
    """
    # No shortcut where nobody follows: this is once a run.
    events.put(Event(stream, lengths, texts, tf.fill(tf.shape(lengths), True)))
