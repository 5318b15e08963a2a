"""From tokens, while they are decoded, to events that carry text."""

import tensorflow as tf

from keras_attn.decoding.results import count_to_end
from keras_attn.export.service.events import NO_STREAM, Event
from keras_attn.text_to_text import is_empty
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import without_end

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
