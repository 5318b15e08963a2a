"""Hypotheses that stay where they are: each goes on by itself until its end token."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.decoding.processing import Choices
from keras_attn.decoding.results import Selected, count_to_end
from keras_attn.decoding.task import Task, per_row
from keras_attn.typing import Tensor


class Hypotheses(NamedTuple):
    """State of such a strategy in the loop."""

    tokens: Tensor  # [B, N, t]
    log_probs: Tensor  # [B, N]
    finished: Tensor  # [B, N]


class InPlace:
    """Base of the strategies that neither drop nor copy a hypothesis.

    Derived classes have `num_hypotheses` and `choose`.
    """

    num_hypotheses = 1
    needs_alignments = False

    @property
    def num_live(self) -> int:
        """K, how many hypotheses of a row the decoder is fed."""
        return self.num_hypotheses

    def choose(self, choices: Choices, position: Tensor, task: Task) -> tuple[Tensor, Tensor]:
        """The next tokens, int32 `[B, N]`, and their log-probabilities, float32 `[B, N]`."""
        raise NotImplementedError

    def begin(self, task: Task, source_length: Tensor, keep_slots: bool = False) -> Hypotheses:
        """`Hypotheses` of no token."""
        shape = tf.stack([task.batch, self.num_hypotheses])
        return Hypotheses(
            tokens=tf.zeros([task.batch, self.num_hypotheses, 0], tf.int32),
            log_probs=tf.zeros(shape),
            finished=tf.zeros(shape, tf.bool),
        )

    def advance(
        self, hypotheses: Hypotheses, choices: Choices, alignment: Tensor | None, position: Tensor, task: Task
    ) -> tuple[Hypotheses, Tensor, None]:
        """Appends a token to each hypothesis that has not ended, and 0 to those that have.

        Returns:
            `Hypotheses`, the tokens `[B, N]`, and None: nothing is to be re-ordered.
        """
        tokens, log_probs = self.choose(choices, position, task)
        over = hypotheses.finished
        if task.has_row_limits:
            over |= task.at_limit(position)[:, None]
        tokens = _zero_where(over, tokens)  # [B, N]
        ended = tf.equal(tokens, task.end_id)
        if task.has_row_limits:
            ended &= ~over  # where the end token is 0
        moved = Hypotheses(
            tokens=tf.concat([hypotheses.tokens, tokens[..., None]], axis=-1),
            log_probs=hypotheses.log_probs + _zero_where(over, log_probs),
            finished=hypotheses.finished | ended,
        )
        return moved, tokens, None

    def is_done(self, hypotheses: Hypotheses, position: Tensor, task: Task) -> Tensor:
        """Boolean `[]`: whether nothing is left to do."""
        over = hypotheses.finished
        if task.has_row_limits:
            over |= task.at_limit(position)[:, None]
        return tf.reduce_all(over)

    def settled(self, hypotheses: Hypotheses, position: Tensor, task: Task) -> Tensor:
        """Tokens of the first hypothesis of each row, int32 `[B, t]`: nothing is taken back."""
        return hypotheses.tokens[:, 0]

    def select(self, hypotheses: Hypotheses, task: Task) -> Selected:
        """All of them, in their order."""
        tokens = hypotheses.tokens
        lengths = count_to_end(tokens, task.end_id)
        if task.has_row_limits:
            lengths = tf.minimum(lengths, per_row(task.limits, 2, tf.int32))
        log_probs = hypotheses.log_probs
        return Selected(tokens, lengths, log_probs, log_probs, hypotheses.finished, None)


def _zero_where(over, values):
    """`tf.where` would make ready to broadcast, which takes longer than the rest."""
    return tf.raw_ops.Select(condition=over, x=tf.zeros_like(values), y=values)
