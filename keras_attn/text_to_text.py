"""Strings in, strings out: tokenizer, decoding loop and detokenizer around a model."""

import tensorflow as tf

from keras_attn.decoding import decode
from keras_attn.text import special_ids

# No SentencePiece piece and no character needs more bytes than this, so longer text is surely too long and is
# refused before it is split.
_MAX_BYTES_PER_TOKEN = 64
_TOO_LONG = "`text` is too long"


class TextTooLongError(ValueError):
    """A text that has more tokens than the model takes."""


class TextToText:
    """A model that takes text and returns text.

    The same functions run eagerly and, traced, inside the exported SavedModel.

    Args:
        model: a `keras_attn.protocols.Decoder`, e.g. `keras_attn.models.RecurrentSeq2Seq`.
        source_tokenizer: a `keras_attn.protocols.Tokenizer`.
        target_tokenizer: likewise.
        max_length: largest number of target tokens, the end token counted.
        max_source_length: largest number of source tokens; longer text is an error, never cut silently.
        strategy: how the output is searched for, e.g. `keras_attn.decoding.BeamSearch(4)`; greedy when None.

    Example:

        translator = TextToText(model, source_tokenizer, target_tokenizer, max_length=100)
        translator(["Guten Morgen."])
    """

    def __init__(
        self,
        model,
        source_tokenizer,
        target_tokenizer,
        max_length=100,
        max_source_length=1024,
        strategy=None,
    ):
        self.model = model
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.max_length = max_length
        self.max_source_length = max_source_length
        self.strategy = strategy

    def __call__(self, texts):
        """Translates a list of strings and returns a list of strings.

        Raises:
            TextTooLongError: if a text has more than `max_source_length` tokens.
        """
        try:
            translated = self.translate(tf.constant(list(texts), tf.string))["text"].numpy()
        except tf.errors.InvalidArgumentError as error:
            if _TOO_LONG not in error.message:
                raise
            # The graph's message is one line among those of TensorFlow.
            line = next(line for line in error.message.splitlines() if _TOO_LONG in line)
            raise TextTooLongError(line[line.index(_TOO_LONG) :].replace("]", "").replace("[", "")) from None
        return [text.decode() for text in translated]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def translate(self, text):
        """The best text for each text, with its score.

        Args:
            text: strings `[B]` in UTF-8.

        Returns:
            A dictionary of `text`, strings `[B]`, and `score`, float32 `[B]`: the log-probability of the
            target tokens, the end token counted. Text with nothing but space gives "" and 0.
        """
        _, decoded, empty = self._decode(text)
        ids = _without_end(decoded)
        translated = tf.where(empty, "", self.target_tokenizer.decode(ids))
        return {"text": translated, "score": tf.where(empty, 0.0, decoded.log_probs[:, 0])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def align(self, text):
        """The attention weights behind each translation.

        Args:
            text: strings `[B]` in UTF-8.

        Returns:
            A dictionary of `source_pieces` `[B, S]` and `target_pieces` `[B, T]`, strings, and `alignment`,
            float32 `[B, T, S]`, whose rows sum to 1. The last piece of each side is the end token, written
            `</s>`; places after it are "" and 0.
        """
        source, decoded, _ = self._decode(text, return_alignments=True)
        return {
            "source_pieces": _named(self.source_tokenizer, source),
            "target_pieces": _named(self.target_tokenizer, decoded.tokens[:, 0]),
            "alignment": decoded.alignments[:, 0],
        }

    def _decode(self, text, return_alignments=False):
        source = self._source_ids(text)
        decoded = decode(
            self.model,
            source,
            special_ids.START,
            special_ids.END,
            self.max_length,
            self.strategy,
            return_alignments,
        )
        empty = tf.equal(source[:, 0], special_ids.END)  # an empty text is nothing but its end token
        return source, decoded, empty

    def _source_ids(self, text):
        """Text `[B]` to ids `[B, S]`, each row ended by the end token and padded with 0."""
        text = _at_most(text, tf.strings.length(text), "bytes", self.max_source_length * _MAX_BYTES_PER_TOKEN)
        ids = self.source_tokenizer.encode(text)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        lengths = _at_most(lengths, lengths, "tokens", self.max_source_length)
        ends = tf.fill(tf.stack([ids.nrows(), 1]), special_ids.END)
        ids = tf.concat([ids, ends], axis=1)
        # The shape is given so that an empty batch has a source axis too.
        longest = tf.reduce_max(tf.concat([lengths, [0]], axis=0)) + 1
        return ids.to_tensor(special_ids.PAD, shape=tf.stack([tf.shape(text)[0], longest]))


def _at_most(tensor, sizes, unit, limit):
    """`tensor`, which can be had only if no size `[B]` is over the limit."""
    message = f"{_TOO_LONG}: expected at most {limit} {unit}. Split it into sentences. Received:"
    check = tf.debugging.Assert(tf.reduce_all(sizes <= limit), [message, tf.reduce_max(sizes)])
    with tf.control_dependencies([] if check is None else [check]):  # eagerly, it has raised by now
        return tf.identity(tensor)


def _without_end(decoded):
    """The best hypotheses as ragged ids, the end token left out."""
    tokens = decoded.tokens[:, 0]  # [B, T]
    return tf.ragged.boolean_mask(tokens, tokens > special_ids.END)


def _named(tokenizer, ids):
    """Pieces of dense ids `[B, T]`, the end token as `</s>`."""
    return tf.where(tf.equal(ids, special_ids.END), "</s>", tokenizer.pieces(ids))
