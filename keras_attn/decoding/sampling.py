"""Sampling: tokens drawn from the distribution of the decoder, repeatable by a seed."""

import tensorflow as tf

from keras_attn.decoding.independent import InPlace
from keras_attn.decoding.processing import Choices
from keras_attn.decoding.task import Task, per_row
from keras_attn.decoding.top_k import top_k
from keras_attn.typing import Tensor

# The constants of SplitMix64 (Steele, Lea, Flood 2014).
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def stateless_uniform(seed: Tensor, position: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1), `[B, count]`, that a row gets whatever stands beside it in the batch.

    `tf.random.stateless_uniform` has one seed for all rows: a row's numbers would depend on its place.

    Args:
        seed: integer `[B, 1]` or `[]`.
        position: integer `[]`.
        count: how many numbers a row.

    Returns:
        float64 `[B, count]`, or `[1, count]` for one seed.

    Reference: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: its
    generator's finisher, over the seed, the position and the place in the row in turn.
    """
    bits = _mixed(tf.cast(seed, tf.uint64))
    bits = _mixed(tf.bitwise.bitwise_xor(bits, tf.cast(position, tf.uint64)))
    places = tf.cast(tf.range(count), tf.uint64)[None]  # [1, count]
    bits = _mixed(tf.bitwise.bitwise_xor(bits, places))
    return tf.cast(tf.bitwise.right_shift(bits, _constant(11)), tf.float64) * 2.0**-53


def _mixed(bits):
    bits += _constant(_STEP)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(30))) * _constant(_FIRST)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(27))) * _constant(_SECOND)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(31)))


def _constant(value):
    return tf.constant(value, tf.uint64)


# How many of the most probable tokens are looked at before the whole vocabulary is sorted.
_FEW = 256


class Sampling(InPlace):
    """Draws every token from the decoder's distribution, sharpened and cut as the settings say.

    ```
    p_v  ~ exp(logit_v / temperature)     among the top_k most probable tokens, and then
                                          among the fewest of these that together have top_p
    y_t  = the first v with p_1 + ... + p_v > u,  u uniform in [0, 1)
    ```

    The same seed gives the same samples, and those of a row depend on neither its neighbours nor its place in
    the batch: with one seed for all, equal sources get equal samples. `log_probs` of the result are those of
    the decoder itself, without temperature and cuts; samples stand in the order drawn.

    Args:
        temperature: above 0; below 1 prefers probable tokens. A number or float `[B]`. Default 1.
        top_k: how many of the most probable tokens are drawn from; 0 for all. A number or int32 `[B]`.
            Default 0.
        top_p: share of the probability that the tokens drawn from have together; the one that crosses it
            counts among them. A number in (0, 1] or float `[B]`. Default 1.
        seed: an integer or int32 or int64 `[B]`. Default 0.
        num_samples: N, independent samples of every row. Default 1.

    Raises:
        ValueError: for numbers out of these ranges.

    Example:

    >>> from keras_attn.decoding import Sampling, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, strategy=Sampling(0.8, num_samples=3)
    ... )
    >>> decoded.tokens.shape[:2]
    TensorShape([1, 3])

    With top_k=1 this is `Greedy`. An int is the faster `top_k`: the vocabulary is then not sorted.

    Reference: Fan, Lewis, Dauphin, "Hierarchical Neural Story Generation", ACL 2018 (top-k); Holtzman et al.,
    "The Curious Case of Neural Text Degeneration", ICLR 2020 (top-p).
    """

    def __init__(
        self,
        temperature: float | Tensor = 1.0,
        *,
        top_k: int | Tensor = 0,
        top_p: float | Tensor = 1.0,
        seed: int | Tensor = 0,
        num_samples: int = 1,
    ) -> None:
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.seed = seed
        self.num_hypotheses = num_samples
        _check(temperature, top_k, top_p, num_samples)

    def choose(self, choices: Choices, position: Tensor, task: Task) -> tuple[Tensor, Tensor]:
        """The next tokens: int32 `[B, N]`, and their float32 log-probabilities in the full softmax."""
        best = tf.reduce_max(choices.logits, axis=-1)
        shares = tf.exp((choices.logits - best[..., None]) / per_row(self.temperature, 3))
        # float64, for a sum over a large vocabulary in float32 misses the rare tokens.
        shares, ids = self._cut(tf.cast(shares, tf.float64))
        sums = tf.cumsum(shares, axis=-1)  # [B, N, n]
        draws = stateless_uniform(per_row(self.seed, 2, tf.int64), position, self.num_hypotheses)
        draws = draws[..., None] * sums[..., -1:]  # [B, N, 1]
        places = tf.reduce_sum(tf.cast(sums <= draws, tf.int32), axis=-1)  # [B, N]
        tokens = places if ids is None else tf.gather(ids, places, batch_dims=2)
        chosen = tf.gather(choices.logits, tokens, batch_dims=2)
        return tokens, chosen - choices.log_normalizer(best)

    def _cut(self, shares):
        """Shares `[B, N, V]` of the distribution to those that are drawn from, 0 for others, and their ids.

        Where anything is cut they are sorted, `[B, N, n]`; else the ids are None.
        """
        if _is_number(self.top_k, 0) and _is_number(self.top_p, 1):
            return shares, None
        found, ids = self._sorted(shares)
        total = tf.reduce_sum(shares, axis=-1, keepdims=True)  # [B, N, 1]
        if not _is_number(self.top_k, 0):
            most = per_row(self.top_k, 3, tf.int32)
            found = tf.where((tf.range(tf.shape(found)[-1]) < most) | (most <= 0), found, 0.0)
            total = tf.where(most > 0, tf.reduce_sum(found, axis=-1, keepdims=True), total)
        if not _is_number(self.top_p, 1):
            before = tf.cumsum(found, axis=-1, exclusive=True)
            missing = before < per_row(self.top_p, 3, tf.float64) * total
            found = tf.where(missing | tf.equal(before, 0), found, 0.0)  # the first is always kept
        return found, ids

    def _sorted(self, shares):
        """The largest shares `[B, N, n]` and their ids: as many as can be drawn from, or more."""
        if isinstance(self.top_k, int) and self.top_k > 0:
            return top_k(shares, self.top_k)
        few = top_k(shares, _FEW)
        size = shares.shape[-1] or tf.shape(shares)[-1]
        # To sort a vocabulary is most of a step's work, and next to never necessary.
        return tf.cond(self._suffice(few[0], shares), lambda: few, lambda: top_k(shares, size))

    def _suffice(self, few, shares):
        """Boolean `[]`: whether nothing but the largest shares `few` can be drawn from, in any row."""
        most = per_row(self.top_k, 3, tf.int32)
        enough = per_row(self.top_p, 3, tf.float64) * tf.reduce_sum(shares, axis=-1, keepdims=True)
        by_count = (most > 0) & (most <= tf.shape(few)[-1])
        return tf.reduce_all(by_count | (tf.reduce_sum(few, axis=-1, keepdims=True) > enough))


def _is_number(value, number):
    return isinstance(value, int | float) and value == number


def _check(temperature, top_k, top_p, num_samples):
    if isinstance(temperature, int | float) and temperature <= 0:
        raise ValueError(
            f"`temperature` must be positive. Expected e.g. 0.8. Received: {temperature}. Use Greedy() for 0."
        )
    if isinstance(top_k, int) and top_k < 0:
        raise ValueError(
            f"`top_k` is negative. Expected a number of tokens, or 0 for all. Received: {top_k}."
        )
    if isinstance(top_p, int | float) and not 0 < top_p <= 1:
        raise ValueError(f"`top_p` is no share. Expected a number above 0 and at most 1. Received: {top_p}.")
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be positive. Expected at least 1. Received: {num_samples}.")
