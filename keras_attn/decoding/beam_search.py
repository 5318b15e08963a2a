"""Beam search: the best hypotheses, those that have ended kept apart from those that go on."""

from collections.abc import Callable
from numbers import Integral

import tensorflow as tf

from keras_attn.decoding.beam import NOTHING, Beam, Ended, best_of, common_prefix, grown, held
from keras_attn.decoding.penalties import coverage_penalty
from keras_attn.decoding.processing import Choices
from keras_attn.decoding.results import Selected
from keras_attn.decoding.task import Task, per_row
from keras_attn.decoding.top_k import top_k
from keras_attn.typing import Tensor

EARLY_STOPPING = ("exact", "count", "never")


class BeamSearch:
    """Keeps the K most probable unfinished hypotheses and the N best finished ones.

    ```
    candidates = log_probs[k] + log p(v | hypothesis k)      for all K live hypotheses and V tokens
    ended      : candidates whose token is the end token, if among the K best of all
    live       : the K best candidates whose token is another
    score      = log_prob / length_penalty(L) + coverage_penalty * sum_s log(min(sum_t a_ts, 1))
    ```

    Hypotheses that have ended neither go on nor take a place from those that do: K of K (V - 1) candidates
    always go on, for no hypothesis has more than one end. With K = 1 this is `Greedy`, and with K as large as
    the number of candidates an exhaustive search. Live hypotheses are all of one length and are compared by
    their log-probability; the score decides among those that have ended. Unfinished hypotheses, cut at the
    largest length, are returned only where fewer than N have ended, after all that have.

    Args:
        beam_size: K, an integer.
        num_hypotheses: N, how many are returned, at most K. Default 1.
        length_penalty: `GNMTLengthPenalty`, `PowerLengthPenalty` or whatever is called as they are and is
            positive and monotonic in the length; None divides by nothing.
        coverage_penalty: weight of the coverage penalty, at least 0; a number or float `[B]`. Above 0 the
            decoder must return its attention weights. Default 0.
        early_stopping: when a row is done. `"exact"`: as soon as no live hypothesis can still reach the N-th
            best score, however it goes on; the result is that of `"never"`, sooner. With a length penalty it
            stops the sooner the tighter `max_length` is (`RelativeLength`). `"count"`: as soon as K
            times `patience` hypotheses have ended (but at least N), as in CTranslate2; better ones may be
            missed. `"never"`: at the largest length. Default `"exact"`.
        patience: of `"count"`; a number or float `[B]`. Default 1.

    Raises:
        ValueError: for sizes below 1, more hypotheses than beams, an unknown `early_stopping`, `patience`
            without `"count"`, and a negative coverage penalty.
        TypeError: for a `length_penalty` that is no function, such as a number.

    Example:

    >>> from keras_attn.decoding import BeamSearch, GNMTLengthPenalty, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> search = BeamSearch(4, num_hypotheses=2, length_penalty=GNMTLengthPenalty(0.6))
    >>> decoded = decode(model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, strategy=search)
    >>> bool(decoded.scores[0, 0] >= decoded.scores[0, 1]) or not bool(decoded.finished[0, 1])
    True

    fairseq and CTranslate2 likewise admit an end only from the K best candidates; tensor2tensor admits it
    from 2K. At the largest length CTranslate2 ranks unfinished hypotheses among finished ones. KerasHub's
    beam goes on after the end token.

    Reference: Graves, "Sequence Transduction with Recurrent Neural Networks", 2012; Wu et al., "Google's
    Neural Machine Translation System", 2016, section 7; Huang et al., "When to Finish? Optimal Beam Search
    for Neural Text Generation", EMNLP 2017 (the bound behind `"exact"`); Kasai et al., "A Call for Clarity in
    Beam Search: How It Works and When It Stops", 2022 (`patience`).
    """

    def __init__(
        self,
        beam_size: int,
        num_hypotheses: int = 1,
        *,
        length_penalty: Callable[..., Tensor] | None = None,
        coverage_penalty: float | Tensor = 0.0,
        early_stopping: str = "exact",
        patience: float | Tensor = 1.0,
    ) -> None:
        self.beam_size = beam_size
        self.num_hypotheses = num_hypotheses
        self.length_penalty = length_penalty
        self.coverage_penalty = coverage_penalty
        self.early_stopping = early_stopping
        self.patience = patience
        _check(self)

    @property
    def num_live(self) -> int:
        """K, how many hypotheses of a row the decoder is fed."""
        return self.beam_size

    @property
    def needs_alignments(self) -> bool:
        """Whether the search itself looks at the attention weights."""
        return not (isinstance(self.coverage_penalty, int | float) and self.coverage_penalty == 0)

    def begin(self, task: Task, source_length: Tensor, keep_slots: bool = False) -> Beam:
        """A `Beam` in which nothing but the first hypothesis lives: all K are the same, one token none."""
        batch, live = task.batch, self.beam_size
        none = tf.fill(tf.stack([batch, self.num_hypotheses]), NOTHING)
        histories = range(2 if keep_slots else 1)
        return Beam(
            histories=tuple(tf.zeros([batch, live, 0], tf.int32) for _ in histories),
            log_probs=tf.tile(tf.constant([[0.0] + [NOTHING] * (live - 1)]), tf.stack([batch, 1])),
            coverage=tf.zeros([batch, live, source_length]) if self.needs_alignments else (),
            ended=Ended(
                tuple(tf.zeros([batch, self.num_hypotheses, 0], tf.int32) for _ in histories), none, none
            ),
            num_ended=tf.zeros([batch], tf.int32) if self.early_stopping == "count" else (),
            done=tf.zeros([batch], tf.bool) | task.at_limit(0),
        )

    def advance(
        self, beam: Beam, choices: Choices, alignment: Tensor | None, position: Tensor, task: Task
    ) -> tuple[Beam, Tensor, Tensor | None]:
        """Takes the K best that go on, and what ends into `beam.ended`.

        Returns:
            `Beam`, the tokens of its live hypotheses `[B, K]`, and their parents' slots `[B, K]`; None for a
            beam of one, in which there is nothing to re-order.
        """
        coverage = ()
        if self.needs_alignments:
            coverage = beam.coverage + tf.cast(alignment, tf.float32)  # [B, K, S]
        ends, log_probs, tokens, parents = self._candidates(beam, choices, task)
        ended = self._merge(beam, ends, coverage, position, task)
        if self.needs_alignments:
            coverage = tf.gather(coverage, parents, batch_dims=1)
        if task.has_row_limits:
            over = task.at_limit(position)[:, None]
            log_probs, tokens, parents, coverage = held(over, beam, log_probs, tokens, parents, coverage)
        moved = Beam(
            histories=grown(beam.histories, (tokens, parents), parents),
            log_probs=log_probs,
            coverage=coverage,
            ended=ended,
            num_ended=self._count(beam, ends),
            done=beam.done,
        )
        moved = moved._replace(done=beam.done | self._is_over(moved, position, task))
        return moved, tokens, parents if self.beam_size > 1 else None

    def is_done(self, beam: Beam, position: Tensor, task: Task) -> Tensor:
        """Boolean `[]`: whether every row is done."""
        return tf.reduce_all(beam.done)

    def settled(self, beam: Beam, position: Tensor, task: Task) -> Tensor:
        """The tokens that the best hypothesis will begin with for sure, int32 `[B, t]`, then 0.

        Those that all hypotheses share which can still win: the best one that has ended, and the live ones
        that may end with a better score. What the search will drop sooner or later counts until it does.
        """
        best_ended = beam.ended.scores[:, :1]  # [B, 1]
        has_ended = best_ended > NOTHING
        alive = (beam.log_probs > NOTHING) & (self._bound(beam.log_probs, position, task) > best_ended)
        alive &= ~(beam.done[:, None] & has_ended)  # [B, K]
        hypotheses = tf.concat([beam.ended.histories[0][:, :1], beam.tokens], axis=1)  # [B, 1 + K, t]
        return common_prefix(hypotheses, tf.concat([has_ended, alive], axis=1))

    def select(self, beam: Beam, task: Task) -> Selected:
        """The best N: what has ended, then what has not."""
        length = tf.cast(tf.minimum(tf.shape(beam.tokens)[2], task.limits), tf.float32)
        scores = self._score(beam.log_probs, beam.coverage, per_row(length, 2), False, task)
        return best_of(beam, scores, task)

    def _candidates(self, beam, choices, task):
        """Log-probabilities of ending `[B, K]`; and of the K best that go on, their tokens and parents."""
        # K + 1 of each hypothesis: one of them may be the end.
        values, tokens = top_k(choices.logits, self.beam_size + 1)  # [B, K, W]
        base = beam.log_probs - choices.log_normalizer(values[..., 0], tokens[..., 0])  # [B, K]
        values = values + base[..., None]
        going_on = tf.where(tf.equal(tokens, task.end_id), NOTHING, values)
        width = values.shape[2] or tf.shape(values)[2]
        flat = [-1, self.beam_size * width]
        log_probs, places = tf.math.top_k(tf.reshape(going_on, flat), self.beam_size)  # [B, K]
        tokens = tf.gather(tf.reshape(tokens, flat), places, batch_dims=1)  # [B, K]
        ends = base + choices.logits[..., task.end_id]  # [B, K]
        # The K best of all are among the K best that go on and the K that end.
        worst = tf.math.top_k(tf.concat([log_probs, ends], axis=1), self.beam_size).values[:, -1:]  # [B, 1]
        ends = tf.where((ends >= worst) & ~beam.done[:, None], ends, NOTHING)
        return ends, log_probs, tokens, places // width

    def _merge(self, beam, ends, coverage, position, task):
        """`beam.ended` with the live hypotheses that end now, `ends` being their log-probabilities."""
        length = tf.cast(position + 1, tf.float32)
        scores = self._score(ends, coverage, length, True, task)
        old = beam.ended
        scores, best = tf.math.top_k(tf.concat([old.scores, scores], axis=1), self.num_hypotheses)  # [B, N]
        histories = [tf.concat(pair, axis=1) for pair in zip(old.histories, beam.histories, strict=True)]
        slots = best - self.num_hypotheses  # below 0 for what had ended before
        columns = (tf.where(slots >= 0, task.end_id, 0), tf.maximum(slots, 0))
        return Ended(
            histories=grown(histories, columns, best),
            log_probs=tf.gather(tf.concat([old.log_probs, ends], axis=1), best, batch_dims=1),
            scores=scores,
        )

    def _score(self, log_probs, coverage, length, ended, task):
        """Penalised log-probabilities `[B, K]`."""
        if self.length_penalty is not None:
            log_probs /= self.length_penalty(length, ended)
        if self.needs_alignments:
            log_probs += per_row(self.coverage_penalty, 2) * coverage_penalty(coverage, task.source_mask)
        return log_probs

    def _count(self, beam, ends):
        if self.early_stopping != "count":
            return ()
        return beam.num_ended + tf.reduce_sum(tf.cast(ends > NOTHING, tf.int32), axis=1)

    def _is_over(self, beam, position, task):
        """Boolean `[B]`: whether a row's result is settled after this step."""
        best = beam.log_probs[:, :1]  # [B, 1]
        if self.early_stopping == "exact":
            over = self._bound(best, position, task) <= beam.ended.scores[:, -1:]
        else:
            over = tf.equal(best, NOTHING)
        over = over[:, 0]
        if self.early_stopping == "count":
            enough = tf.cast(tf.floor(self.beam_size * per_row(self.patience, 1) + 0.5), tf.int32)
            over |= beam.num_ended >= tf.maximum(enough, self.num_hypotheses)
        return over | task.at_limit(position + 1) if task.has_row_limits else over

    def _bound(self, best, position, task):
        """The best scores that hypotheses with log-probabilities `best`, `[B, n]`, may still end with.

        A log-probability only falls and is at most 0, so that the largest divisor gives the best score. The
        penalty is monotonic in the length, so its largest value is at the next length or at the last. The
        coverage penalty is at most 0 and left out. Where nothing lives, this is -inf.
        """
        if self.length_penalty is None:
            return best
        at_next = self.length_penalty(tf.cast(position + 2, tf.float32))
        at_last = self.length_penalty(tf.cast(per_row(task.limits, 2, tf.int32), tf.float32))
        return best / tf.maximum(at_next, at_last)


def _check(search):
    counts = (search.beam_size, search.num_hypotheses)
    if not all(isinstance(count, Integral) and count >= 1 for count in counts):
        raise ValueError(
            "`beam_size` and `num_hypotheses` must be positive. Expected integers of at least 1. "
            f"Received: {search.beam_size} and {search.num_hypotheses}."
        )
    if search.length_penalty is not None and not callable(search.length_penalty):
        raise TypeError(
            "`length_penalty` is a function of lengths. Expected e.g. GNMTLengthPenalty(0.6), or None. "
            f"Received: {search.length_penalty!r}."
        )
    if search.num_hypotheses > search.beam_size:
        raise ValueError(
            f"`num_hypotheses` is larger than the beam. Expected at most {search.beam_size}. "
            f"Received: {search.num_hypotheses}. Raise `beam_size`."
        )
    if search.early_stopping not in EARLY_STOPPING:
        raise ValueError(
            f"`early_stopping` is unknown. Expected one of {EARLY_STOPPING}. "
            f"Received: {search.early_stopping!r}."
        )
    if search.early_stopping != "count" and not (
        isinstance(search.patience, int | float) and search.patience == 1
    ):
        raise ValueError(
            "`patience` has no effect without counting. Expected early_stopping='count' beside it. "
            f"Received: early_stopping={search.early_stopping!r}."
        )
    if isinstance(search.coverage_penalty, int | float) and search.coverage_penalty < 0:
        raise ValueError(
            "`coverage_penalty` is negative, which would reward what was not looked at. Expected at least 0. "
            f"Received: {search.coverage_penalty}."
        )
