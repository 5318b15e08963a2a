"""The signatures of an exported model, one method each, run eagerly or traced."""

import tensorflow as tf

from keras_attn.decoding import BeamSearch, GNMTLengthPenalty, Sampling, TargetPrefix, score
from keras_attn.export.service.encoder_states import encoder_states
from keras_attn.export.service.options import OPTIONS, checked_option
from keras_attn.export.service.rows import given_lengths, masked_ids, of_each_row
from keras_attn.export.service.stream_events import EventQueue, put_last, text_events
from keras_attn.text_to_text import TextToText, answer_any_batch, is_empty
from keras_attn.tokenizers import special_ids
from keras_attn.tokenizers.token_ids import named_pieces, prefix_ids, required, token_ids, without_end
from keras_attn.typing import Tensor

_DEFAULT_BEAM_SIZE = 4
# Log-probability and score of a hypothesis that does not exist: JSON has no infinity.
LOWEST = tf.float32.min


class Service:
    """The signatures of an export as methods.

    Every input and output has the batch first. What a caller may set is a tensor `[B]`, a value a text, or
    `[1]`, one for all. A value that cannot be is an error that names it; nothing is clipped silently. The
    methods need at least one row; `answer` calls them with any number.

    Args:
        text_to_text: a `keras_attn.TextToText`.
        beam_size: of `n_best`; that of the `TextToText`'s own `BeamSearch` when None, or else 4.
        num_hypotheses: N of `n_best`; `beam_size` when None.

    Raises:
        ValueError: for a length penalty with a strength that cannot be set by row, and what `BeamSearch`
            raises.
    """

    def __init__(
        self, text_to_text: TextToText, *, beam_size: int | None = None, num_hypotheses: int | None = None
    ) -> None:
        self.text_to_text = text_to_text
        strategy = text_to_text.strategy
        beam = strategy if isinstance(strategy, BeamSearch) else BeamSearch(_DEFAULT_BEAM_SIZE)
        self.beam_size = beam.beam_size if beam_size is None else beam_size
        self.num_hypotheses = self.beam_size if num_hypotheses is None else num_hypotheses
        self.beam = beam
        self.length_penalty = _adjustable(beam.length_penalty)
        self.defaults = {name: option.default_of(self) for name, option in OPTIONS.items()}
        self._events = EventQueue()
        self._search(self.defaults["length_penalty"])  # raises now what it would raise in a signature

    def answer(self, name: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of a signature for a batch of any size.

        Args:
            name: of a method below.
            inputs: a dictionary of all its inputs, by name.

        Returns:
            A dictionary of outputs, all with the batch first.
        """
        order = sorted(inputs, key=lambda key: key not in ("text", "ids"))  # these say how many rows
        return answer_any_batch(getattr(self, name), {key: inputs[key] for key in order}, self.defaults)

    def serving_default(self, text: Tensor) -> dict[str, Tensor]:
        """The best text of each text `[B]`: `text` `[B]` and `score` `[B]`, as `TextToText.translate`."""
        return self.text_to_text.translated(text)

    def n_best(
        self, text: Tensor, max_length: Tensor, length_penalty: Tensor, target_prefix: Tensor
    ) -> dict[str, Tensor]:
        """The N best texts of each text, best first.

        Args:
            text: strings `[B]`.
            max_length: int32 `[B]`, largest number of target tokens, the end token counted.
            length_penalty: float32 `[B]`, strength of the length penalty; 0 for none.
            target_prefix: strings `[B]` that the texts begin with; "" for none.

        Returns:
            `text` strings, `score` and `log_prob` float32, `length` int32 and `finished` boolean, all
            `[B, N]`. Where there are fewer than N hypotheses at all, the rest are "" with length 0 and the
            lowest float32 as score and log-probability. A text without words gives "" for sure.
        """
        inner = self.text_to_text
        length_penalty = self._option("length_penalty", length_penalty, text)
        source, max_length, processors = self._prepared(text, max_length, target_prefix)
        decoded = inner.decoded(source, max_length, self._search(length_penalty), processors=processors)
        shape = tf.shape(decoded.tokens)  # B, N, T
        flat = tf.reshape(decoded.tokens, [shape[0] * shape[1], shape[2]])
        texts = tf.reshape(inner.target_tokenizer.decode(without_end(flat)), shape[:2])
        empty = is_empty(source)[:, None]
        first = tf.equal(tf.range(shape[1]), 0)[None]
        nothing = tf.where(first, 0.0, LOWEST)  # [1, N], the numbers of an empty text
        return {
            "text": tf.where(empty, "", texts),
            "score": tf.where(empty, nothing, tf.maximum(decoded.scores, LOWEST)),
            "log_prob": tf.where(empty, nothing, tf.maximum(decoded.log_probs, LOWEST)),
            "length": tf.where(empty, 0, decoded.lengths),
            "finished": tf.where(empty, first, decoded.finished),
        }

    def stream(
        self, text: Tensor, stream: Tensor, max_length: Tensor, target_prefix: Tensor
    ) -> dict[str, Tensor]:
        """`serving_default`, with its options, and events on the way for those who read `stream_events`.

        Args:
            text: strings `[B]`.
            stream: int64 `[B]`, what the events of each text are to be called; -1 for no events.
            max_length: int32 `[B]`.
            target_prefix: strings `[B]`.

        Returns:
            `text` strings and `score` float32, both `[B]`.
        """
        decoded, texts, empty = self._followed(None, text, stream, max_length, target_prefix)
        return {"text": texts, "score": tf.where(empty, 0.0, decoded.log_probs[:, 0])}

    def stream_events(self, wait: Tensor) -> dict[str, Tensor]:
        """The oldest events of runs of `stream` and `sample` that nobody has read yet, an event a row.

        One reader is enough for all runs, and every event is read once. Where nobody reads, the newest are
        dropped.

        Args:
            wait: booleans `[B]`; where any is True and there is no event, the first one is waited for.

        Returns:
            `stream` int64, -1 in rows for which there was no event; `length` int32, `text` strings and
            `last` booleans, all `[B]`; see `Event`.
        """
        return self._events.take(wait)._asdict()

    def sample(
        self,
        text: Tensor,
        stream: Tensor,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        seed: Tensor,
        max_length: Tensor,
        target_prefix: Tensor,
    ) -> dict[str, Tensor]:
        """One text drawn for each text; give a text several times, with as many seeds, for several.

        Args:
            text: strings `[B]`.
            stream: int64 `[B]`, what the events of each text are to be called; -1 for no events.
            temperature: float32 `[B]`, above 0.
            top_k: int32 `[B]`, how many tokens are drawn from; 0 for all.
            top_p: float32 `[B]`, share of the probability that is drawn from, in (0, 1].
            seed: int64 `[B]`.
            max_length: int32 `[B]`.
            target_prefix: strings `[B]`.

        Returns:
            `text` strings, `log_prob` float32, `length` int32 and `finished` boolean, all `[B]`.
        """
        strategy = Sampling(
            self._option("temperature", temperature, text),
            top_k=self._option("top_k", top_k, text),
            top_p=self._option("top_p", top_p, text),
            seed=self._option("seed", seed, text),
        )
        decoded, texts, empty = self._followed(strategy, text, stream, max_length, target_prefix)
        return {
            "text": texts,
            "log_prob": tf.where(empty, 0.0, decoded.log_probs[:, 0]),
            "length": tf.where(empty, 0, decoded.lengths[:, 0]),
            "finished": empty | decoded.finished[:, 0],
        }

    def score(self, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """How probable given targets are, the end token counted.

        Args:
            text: strings `[B]`.
            target: strings `[B]`.

        Returns:
            `log_prob` and `perplexity` float32 `[B]`, `length` int32 `[B]`, `token_log_probs` float32
            `[B, T]` and `target_pieces` strings `[B, T]`, 0 and "" after the end token.
        """
        inner = self.text_to_text
        source, target = inner.source_ids(text), self._target_ids("target", target, text)
        method = "full" if callable(inner.model) else "steps"
        scored = score(
            inner.model, source, target, start_id=special_ids.START, end_id=special_ids.END, method=method
        )
        lengths = tf.cast(scored.lengths, tf.float32)
        return {
            "log_prob": scored.log_probs,
            "perplexity": tf.minimum(tf.exp(-scored.log_probs / lengths), tf.float32.max),
            "length": scored.lengths,
            "token_log_probs": scored.token_log_probs,
            "target_pieces": named_pieces(inner.target_tokenizer, target),
        }

    def align(self, text: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The attention weights behind the best target of each text, or behind a given one.

        Args:
            text: strings `[B]`.
            target: strings `[B]`; "" for what `serving_default` answers.

        Returns:
            `source_pieces` `[B, S]`, `target_pieces` `[B, T]` and `alignment` `[B, T, S]`, as
            `TextToText.align`.
        """
        target = self._target_ids("target", target, text)
        lengths = tf.math.count_nonzero(target, axis=1, dtype=tf.int32)
        lengths = tf.where(is_empty(target), 0, lengths)  # [B]
        return self.text_to_text.aligned(text, [TargetPrefix(target, lengths)])

    def decode_ids(self, ids: Tensor, lengths: Tensor, max_length: Tensor) -> dict[str, Tensor]:
        """The best target of each source, for those with tokenizers of their own.

        Args:
            ids: int32 `[B, S]`, without start and end token. What stands from `lengths` on is not looked at.
            lengths: int32 `[B]`, how many ids of each row count.
            max_length: int32 `[B]`.

        Returns:
            `ids` int32 `[B, T]`, without start and end token, then 0; `lengths` int32 `[B]`; `score` float32
            `[B]`, the log-probability, the end token counted; `finished` boolean `[B]`.
        """
        inner = self.text_to_text
        source = masked_ids(ids, lengths, inner.source_tokenizer.vocabulary_size, inner.max_source_length)
        decoded = inner.decoded(source, self._option("max_length", max_length, ids))
        empty = is_empty(source)
        tokens = without_end(decoded.tokens[:, 0])
        counts = tf.where(empty, 0, tf.cast(tokens.row_lengths(), tf.int32))
        shape = tf.stack([tf.shape(ids)[0], tf.reduce_max(tf.concat([counts, [0]], axis=0))])
        tokens = tokens.to_tensor(special_ids.PAD, shape=shape)  # [B, T]
        return {
            "ids": tf.where(empty[:, None], special_ids.PAD, tokens),
            "lengths": counts,
            "score": tf.where(empty, 0.0, decoded.log_probs[:, 0]),
            "finished": empty | decoded.finished[:, 0],
        }

    def encode(self, text: Tensor) -> dict[str, Tensor]:
        """The encoder's states of each text.

        Args:
            text: strings `[B]`.

        Returns:
            `states` float32 `[B, S, D]`, the last one of each row that of the end token, and 0 behind it;
            `lengths` int32 `[B]`, how many states of each row count.
        """
        states, mask = encoder_states(self.text_to_text.model, self.text_to_text.source_ids(text))
        states = tf.where(mask[..., None], tf.cast(states, tf.float32), 0.0)
        return {"states": states, "lengths": given_lengths(mask)}

    def checked(self, name: str, values: Tensor, rows: Tensor) -> Tensor:
        """An input of a signature, which raises in the graph unless it can be answered.

        Args:
            name: of the input; not "ids" or "lengths".
            values: `[B]`.
            rows: a tensor `[B, ...]`.

        Returns:
            `[B]`.
        """
        inner = self.text_to_text
        if name == "text":
            check = inner.source_ids(values)
        elif name in ("target", "target_prefix"):
            check = prefix_ids(inner.target_tokenizer, values, inner.max_length - 1, name).flat_values
        else:
            return self._option(name, values, rows)
        with tf.control_dependencies([check]):
            return tf.identity(values)

    def checked_together(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs of a signature, each `checked`, which raise in the graph unless they go together."""
        if "target_prefix" not in inputs:
            return inputs
        inner = self.text_to_text
        most = inner.max_length - 1
        prefix = prefix_ids(inner.target_tokenizer, inputs["target_prefix"], most, "target_prefix")
        return inputs | {"max_length": _with_room(inputs["max_length"], prefix)}

    def _followed(self, strategy, text, stream, max_length, target_prefix):
        """Decodes and puts events: `Decoded`, texts `[B]`, and which of them are of empty sources `[B]`."""
        inner = self.text_to_text
        stream = tf.cast(self._option("stream", stream, text), tf.int64)
        source, max_length, processors = self._prepared(text, max_length, target_prefix)
        put = text_events(self._events, inner.target_tokenizer, stream, source)
        decoded = inner.decoded(source, max_length, strategy, processors=processors, on_step=put)
        empty = is_empty(source)
        texts = inner.target_tokenizer.decode(without_end(decoded.tokens[:, 0]))
        texts = tf.where(empty, "", texts)
        put_last(self._events, stream, tf.where(empty, 0, decoded.lengths[:, 0]), texts)
        return decoded, texts, empty

    def _prepared(self, text, max_length, target_prefix):
        """Source ids `[B, S]`, the largest length of each row, and the processor of the prefix."""
        inner = self.text_to_text
        target_prefix = of_each_row("target_prefix", target_prefix, text)
        # One token less than the largest length, so that there is something left to choose.
        prefix = prefix_ids(inner.target_tokenizer, target_prefix, inner.max_length - 1, "target_prefix")
        max_length = _with_room(self._option("max_length", max_length, text), prefix)
        return inner.source_ids(text), max_length, [TargetPrefix(prefix)]

    def _option(self, name, values, rows):
        return checked_option(name, values, rows, self.text_to_text.max_length)

    def _target_ids(self, name, target, text):
        tokenizer, most = self.text_to_text.target_tokenizer, self.text_to_text.max_length - 1
        return token_ids(tokenizer, of_each_row(name, target, text), most, name)

    def _search(self, strength):
        beam = self.beam
        return BeamSearch(
            self.beam_size,
            self.num_hypotheses,
            length_penalty=self.length_penalty.with_strength(strength),
            coverage_penalty=beam.coverage_penalty,
            early_stopping=beam.early_stopping,
            patience=beam.patience,
        )


def _with_room(max_length, prefix):
    """`max_length` `[B]`, which raises in the graph unless every prefix, ragged ids, fits into it."""
    lengths = tf.cast(prefix.row_lengths(), tf.int32)
    message = "`target_prefix` is longer than `max_length`. Expected at most so many tokens in every row."
    return required(max_length, lengths <= max_length, message, tf.reduce_max(lengths))


def _adjustable(penalty):
    """The length penalty of a strategy, whose strength a request may set."""
    if penalty is None:
        return GNMTLengthPenalty(0.0)
    if hasattr(penalty, "strength") and hasattr(penalty, "with_strength"):
        return penalty
    raise ValueError(
        "`length_penalty` of the strategy has no strength that a request could set. Expected a "
        f"keras_attn.protocols.LengthPenalty or None. Received: {penalty!r}. Add an attribute `strength` and "
        "a method `with_strength(strength)`."
    )
