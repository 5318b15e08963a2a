"""Translates strings: a tokenizer, the decoding loop and a detokenizer around a model."""

from collections.abc import Iterable
from contextlib import contextmanager
from typing import Any

from keras_attn.extras import require

require("tensorflow")

import tensorflow as tf

from keras_attn.decoding import Decoded, decode
from keras_attn.decoding.processing import checked_processors
from keras_attn.errors import UserError
from keras_attn.protocols import Decoder, Processor, Strategy, Tokenizer
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import TOO_LONG, named_pieces, token_ids, without_end
from keras_attn.typing import Tensor


def answer_any_batch(answer, inputs, fillers):
    """Calls `answer` with at least one row, and returns as many as there were.

    Convolutions and sums over attention fail where there are no rows at all.

    Args:
        answer: a function of named inputs to a dictionary of outputs, all with the batch first.
        inputs: a dictionary of name to tensor `[B, ...]`; the first one says what B is.
        fillers: a dictionary of name to what the one row holds that is put where there is none.

    Returns:
        A dictionary of output name to tensor `[B, ...]`.
    """
    count = tf.shape(next(iter(inputs.values())))[0]
    filled = {name: _filled(values, fillers[name], count) for name, values in inputs.items()}
    return {name: output[:count] for name, output in answer(**filled).items()}


def _filled(values, filler, count):
    """`values`, or one row of the filler where neither they nor the batch have rows."""
    shape = tf.shape(values)
    missing = tf.cast(tf.equal(shape[0] + count, 0), tf.int32)
    row = tf.fill(tf.concat([missing[None], shape[1:]], axis=0), tf.cast(filler, values.dtype))
    return tf.concat([values, row], axis=0)


class TextTooLongError(UserError, ValueError):
    """A text that has more tokens than the model takes."""


class TextToText:
    """A model that takes text and returns text.

    The same functions run eagerly and, traced, inside the exported SavedModel.

    Args:
        model: a `keras_attn.protocols.Decoder`, e.g. `keras_attn.models.RecurrentSeq2Seq`.
        source_tokenizer: a `keras_attn.protocols.Tokenizer`.
        target_tokenizer: likewise.
        max_length: largest number of target tokens, the end token counted.
        max_source_length: largest number of source tokens; longer text is an error, never cut silently. Both
            are less where the model has a table of positions and no room for so many.
        strategy: how the output is searched for, e.g. `keras_attn.decoding.BeamSearch(4)`, a
            `keras_attn.protocols.Strategy`; greedy when None.
        processors: a list of `keras_attn.protocols.Processor`, e.g.
            `keras_attn.decoding.NoRepeatNgram(3)`, for every output that is decoded. Default none.

    What these are is fixed with the first translation: for other settings, make another object.

    Raises:
        ValueError: if the model has no room for a source beside so long a target.

    Example:

        translator = TextToText(model, source_tokenizer, target_tokenizer, max_length=100)
        translator(["Guten Morgen."])
    """

    def __init__(
        self,
        model: Decoder,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        *,
        max_length: int = 100,
        max_source_length: int = 1024,
        strategy: Strategy | None = None,
        processors: Iterable[Processor] = (),
    ) -> None:
        self.model = model
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.max_source_length, self.max_length = _fitting(model, max_source_length, max_length)
        self.strategy = strategy
        self.processors = checked_processors(processors)

    def __call__(self, texts: Iterable[str | bytes] | Tensor) -> list[str]:
        """Translates a list of strings and returns a list of strings.

        Raises:
            TextTooLongError: if a text has more than `max_source_length` tokens.
            TypeError: for what is no list of strings, such as a lone string.
        """
        with _too_long_named():
            translated = self.translate(texts)["text"].numpy()
        return [text.decode() for text in translated]

    def translate(self, text: Iterable[str | bytes] | Tensor) -> dict[str, Tensor]:
        """The best text for each text, with its score.

        Args:
            text: strings `[B]` in UTF-8: a list, an array or a tensor.

        Returns:
            A dictionary of `text`, strings `[B]`, and `score`, float32 `[B]`: the log-probability of the
            target tokens, the end token counted. Text without tokens, such as nothing but space, gives "" and
            0; to the tokenizer `bytes` a space is one.
        """
        return self._translate(_strings(text))

    def align(self, text: Iterable[str | bytes] | Tensor) -> dict[str, Tensor]:
        """The attention weights behind each translation.

        Args:
            text: strings `[B]` in UTF-8: a list, an array or a tensor.

        Returns:
            A dictionary of `source_pieces` `[B, S]` and `target_pieces` `[B, T]`, strings, and `alignment`,
            float32 `[B, T, S]`. Its rows sum to 1 where the attention is a softmax over the source alone: not
            those of a language model, which looks at its own words too, of a local or monotonic attention,
            or of a model without attention, which are 0. The end token is written `</s>`, also after a
            source of nothing but space, which is decoded here as any other; places after it are "" and 0.
        """
        return self._align(_strings(text))

    def translate_and_align(self, texts: Iterable[str | bytes] | Tensor) -> dict[str, Tensor]:
        """Outputs of `translate` and of `align`, from decoding once.

        Args:
            texts: a list of strings.

        Returns:
            A dictionary of `text`, `score`, `source_pieces`, `target_pieces` and `alignment`.

        Raises:
            TextTooLongError, TypeError: as calling the object.
        """
        with _too_long_named():
            return self._translate_and_align(_strings(texts))

    def translated(self, text: Tensor) -> dict[str, Tensor]:
        """`translate` without a graph of its own, for at least one text."""
        source = self.source_ids(text)
        return self._texts(source, self.decoded(source))

    def aligned(self, text: Tensor, processors: Iterable[Processor] = ()) -> dict[str, Tensor]:
        """`align` without a graph of its own, for at least one text; processors are those of `decode`."""
        source = self.source_ids(text)
        return self._alignments(source, self.decoded(source, return_alignments=True, processors=processors))

    def _texts(self, source, decoded):
        empty = is_empty(source)
        translated = self.target_tokenizer.decode(without_end(decoded.tokens[:, 0]))
        return {
            "text": tf.where(empty, "", translated),
            "score": tf.where(empty, 0.0, decoded.log_probs[:, 0]),
        }

    def _alignments(self, source, decoded):
        return {
            "source_pieces": named_pieces(self.source_tokenizer, source),
            "target_pieces": named_pieces(self.target_tokenizer, decoded.tokens[:, 0]),
            "alignment": decoded.alignments[:, 0],
        }

    # A `tf.function` holds its object weakly, so that it is no method for users to call on a new object.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def _translate(self, text):
        return answer_any_batch(self.translated, {"text": text}, {"text": ""})

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def _align(self, text):
        return answer_any_batch(self.aligned, {"text": text}, {"text": ""})

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def _translate_and_align(self, text):
        def both(text):
            source = self.source_ids(text)
            decoded = self.decoded(source, return_alignments=True)
            return self._texts(source, decoded) | self._alignments(source, decoded)

        return answer_any_batch(both, {"text": text}, {"text": ""})

    def source_ids(self, text: Tensor) -> Tensor:
        """Strings `[B]` to int32 ids `[B, S]`, each row ended by the end token and padded with 0."""
        return token_ids(self.source_tokenizer, text, self.max_source_length)

    def decoded(
        self,
        source: Tensor,
        max_length: Tensor | None = None,
        strategy: Strategy | None = None,
        processors: Iterable[Processor] = (),
        **options: Any,
    ) -> Decoded:
        """`keras_attn.decoding.decode` of source ids `[B, S]`, with this object's settings by default.

        Processors are further ones, after this object's own.
        """
        max_length = self.max_length if max_length is None else max_length
        strategy = self.strategy if strategy is None else strategy
        return decode(
            self.model,
            source,
            start_id=special_ids.START,
            end_id=special_ids.END,
            max_length=max_length,
            strategy=strategy,
            processors=(*self.processors, *processors),
            **options,
        )


@contextmanager
def _too_long_named():
    """Turns the graph's error for a text that is too long into a `TextTooLongError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        too_long = f"`text` {TOO_LONG}"
        if too_long not in error.message:
            raise
        # The graph's message is one line among those of TensorFlow.
        line = next(line for line in error.message.splitlines() if too_long in line)
        raise TextTooLongError(line[line.index(too_long) :].replace("]", "").replace("[", "")) from None


def _strings(texts):
    """Texts as a tensor `[B]`."""
    if isinstance(texts, str | bytes):
        raise TypeError(f"`texts` must be a list of strings. Received: the string {texts!r}. Write [text].")
    if not tf.is_tensor(texts):
        texts = list(texts)
        wrong = [text for text in texts if not isinstance(text, str | bytes)]
        if wrong:
            raise TypeError(f"`texts` must be a list of strings. Received: {wrong[0]!r} in it.")
        return tf.constant(texts, tf.string, shape=[len(texts)])
    if texts.dtype != tf.string or texts.shape.rank not in (None, 1):
        raise TypeError(
            f"`texts` must be strings [B]. Received: a tensor of {texts.dtype.name}, shape {texts.shape}."
        )
    return texts


def _fitting(model, max_source_length, max_length):
    if not hasattr(model, "fitting_lengths"):
        return max_source_length, max_length
    fitting = model.fitting_lengths(max_source_length, max_length)
    if min(fitting) < 1:
        raise ValueError(
            f"`max_length` is too much for the model's table of positions, which holds source and target. "
            f"Received: max_length={max_length}. Lower it, or give the table more places."
        )
    return fitting


def is_empty(source: Tensor) -> Tensor:
    """Whether source ids `[B, S]` are those of an empty text, only its end token: boolean `[B]`."""
    return tf.equal(source[:, 0], special_ids.END)
