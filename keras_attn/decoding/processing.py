"""Runs processors over the next-token logits of a step."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.decoding.task import Task
from keras_attn.typing import Tensor


class Choices(NamedTuple):
    """Logits of one step.

    Attributes:
        logits: float32 `[B, K, V]`, -inf where a token is forbidden.
        free_logits: the same before anything was forbidden; the very same tensor where nothing is.
    """

    logits: Tensor
    free_logits: Tensor

    def log_normalizer(self, best: Tensor, token: Tensor | None = None) -> Tensor:
        """The log-sum-exp of the free logits: what to take off a logit for its log-probability.

        ```
        log sum_v exp(logit_v) = logit_max - log softmax(logits)_max
        ```

        where the softmax, one fused operation, takes a third of the time of exp and sum. Its largest value is
        at least 1 / V, so that its logarithm is exact to rounding.

        Args:
            best: the largest of `logits`, `[B, K]`; it saves a pass over V where nothing is forbidden.
            token: where `best` is, int32 `[B, K]`, if known; it saves another.

        Returns:
            float32 `[B, K]`.
        """
        if self.logits is not self.free_logits:
            best, token = tf.reduce_max(self.free_logits, axis=-1), None
        shares = tf.nn.softmax(self.free_logits)
        largest = tf.reduce_max(shares, -1) if token is None else tf.gather(shares, token, batch_dims=2)
        return best - tf.math.log(largest)


class Partial(NamedTuple):
    """Hypotheses as far as they are written, for processors.

    Attributes:
        tokens: int32 `[B, K, t]`, written so far, without the start token. 0 in hypotheses that have ended.
        position: int32 `[]`, t.
        vocabulary_size: V, an integer or a scalar tensor.
        task: the `Task`.
    """

    tokens: Tensor
    position: Tensor
    vocabulary_size: int | Tensor
    task: Task


def choices_of(processors, logits, tokens, position, task):
    """`Choices` of logits `[B, K, V]`: adjusted, then with what is forbidden at -inf.

    Log-probabilities are those of the adjusted distribution, and what is forbidden keeps its share of it: to
    forbid a token makes no other more probable. Where nothing else is left, the end token is allowed.
    """
    if not processors:
        return Choices(logits, logits)
    size = logits.shape[-1] or tf.shape(logits)[-1]
    partial = Partial(tokens, position, size, task)
    for processor in _that_have("adjust", processors):
        logits = processor.adjust(logits, partial)
    forbidden = None
    for processor in _that_have("forbid", processors):
        more = processor.forbid(partial)
        forbidden = more if forbidden is None else forbidden | more
    if forbidden is not None:
        is_end = tf.equal(tf.range(size), task.end_id)  # [V]
        forbidden &= ~(tf.reduce_all(forbidden, axis=-1, keepdims=True) & is_end)
    for processor in _that_have("force", processors):
        forbidden = processor.force(forbidden, partial)
    if forbidden is None:
        return Choices(logits, logits)
    return Choices(tf.where(forbidden, float("-inf"), logits), logits)


def checked_processors(processors):
    """Processors as a tuple.

    Raises:
        TypeError: where something is no processor, and for a processor instead of several.
    """
    if not isinstance(processors, type) and _is_processor(processors):
        raise TypeError(
            f"`processors` must be several. Expected a list. Received: {processors!r}. Write [processor]."
        )
    processors = tuple(processors)
    for processor in processors:
        if isinstance(processor, type) or not _is_processor(processor):
            raise TypeError(
                "`processors` holds something that is no processor. Expected objects with `adjust`, `forbid` "
                f"or `force`, such as MinimumLength(5). Received: {processor!r}."
            )
    return processors


def _is_processor(processor):
    return any(callable(getattr(processor, name, None)) for name in ("adjust", "forbid", "force"))


def _that_have(name, processors):
    return [processor for processor in processors if hasattr(processor, name)]
