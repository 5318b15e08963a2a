"""Attention that only moves forward (Raffel et al. 2017)."""

from typing import Any, Self

import keras
from keras import ops

from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.ops.monotonic import (
    hard_monotonic_alignment,
    parallel_monotonic_alignment,
    recursive_monotonic_alignment,
)
from keras_attn.typing import Config, Nested, Shape, Tensor

MODES = ("parallel", "recursive", "hard")


@keras.saving.register_keras_serializable(package="keras_attn")
class MonotonicAttention(StepAttention):
    """Attention that looks at the keys from left to right and never goes back.

    ```
    p[t, s]       = sigmoid(logits[t, s] + r + noise)     the chance to stop at key s, once it is reached
    reach[t, s]   = (1 - p[t, s-1]) reach[t, s-1] + weights[t-1, s]
    weights[t, s] = p[t, s] reach[t, s]                   "recursive": the expected alignment, exactly
                  = the same in closed form               "parallel": all s at once, inexact where p is near 1
                  = 1 at the first s from the last stop on whose logits + r > 0     "hard"
    context[t]    = sum_s weights[t, s] value[s]
    weights[-1]   = 1 at the first key
    ```

    Weights may sum to less than 1: what passes the last key without a stop is lost, for the queries that
    follow too. The T queries of a call are taken in order. Masked keys are passed by; a query that sees
    nothing leaves the next one where it was.

    Keras has none of this; tfa.seq2seq's `BahdanauMonotonicAttention` and `LuongMonotonicAttention` add their
    noise in inference too, here it acts in training alone.

    Args:
        attention: the layer whose `logits` score the keys, e.g. `BahdanauAttention(64, normalize=True)`.
        mode: `"parallel"`, `"recursive"` or `"hard"`. `"hard"` has no gradient.
        inference_mode: the mode outside of training, e.g. `"hard"`; `mode` when None.
        sigmoid_noise: standard deviation of the normal noise on the logits in training; it drives p to 0 and
            1, as `"hard"` needs.
        score_bias: what r begins with; negative for long memories, so that the first weights reach far.
        seed: of the noise.
        **kwargs: of `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: whether there is noise, and which mode acts.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for an unknown mode, a negative noise, or an `attention` that has no `logits` or makes
            weights of them in a way of its own.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.MonotonicAttention(keras_attn.layers.LuongAttention("dot"), mode="hard")
    >>> query = value = keras.ops.eye(3)[None] * 2 - 1
    >>> _, weights = layer(query, value, return_attention_scores=True)
    >>> keras.ops.convert_to_numpy(weights)[0].argmax(axis=-1).tolist()
    [0, 1, 2]

    Reference: Raffel, Luong, Liu, Weiss, Eck, "Online and Linear-Time Attention by Enforcing Monotonic
    Alignments", ICML 2017, sections 2.2 to 2.5 and algorithm 1.
    """

    def __init__(
        self,
        attention: StepAttention,
        mode: str = "parallel",
        *,
        inference_mode: str | None = None,
        sigmoid_noise: float = 0.0,
        score_bias: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(attention, mode, inference_mode, sigmoid_noise)
        self.attention = attention
        self.mode = mode
        self.inference_mode = inference_mode
        self.sigmoid_noise = sigmoid_noise
        self.score_bias = score_bias
        self.seed = seed
        # Only where there is noise: a generator is a weight of the layer.
        self.noise_seed = keras.random.SeedGenerator(seed) if sigmoid_noise else None

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Builds the attention within and makes r, a scalar."""
        if not self.attention.built:
            self.attention.build(query_shape, value_shape, key_shape)
        self.logit_bias = self.add_weight(
            name="logit_bias", shape=(), initializer=keras.initializers.Constant(self.score_bias)
        )
        self.built = True

    def project_memory(self, key: Tensor) -> Nested:
        """Projects the keys by the attention within."""
        return self.attention.project_memory(key)

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """The logits `[B, K, S]` of the attention within, with r added, in float32."""
        logits = self.attention.logits(query, projected_key, state[1:])
        return ops.cast(logits, "float32") + ops.cast(self.logit_bias, "float32")

    def initial_attention_state(self, projected_key: Nested) -> tuple[Tensor, ...]:
        """All weight on the first key `[B, 1, S]`, and the state of the attention within."""
        nothing = self._no_weights(projected_key)
        first = ops.cast(ops.equal(ops.arange(ops.shape(nothing)[-1]), 0), "float32")
        return (nothing + first, *self.attention.initial_attention_state(projected_key))

    def draw_noise(self, query: Tensor, value: Tensor, training: bool | None = None) -> Tensor:
        """Normal noise `[B, T, S]` on the logits; in training, where it was asked for, else None."""
        if not (training and self.sigmoid_noise and self.mode != "hard"):
            return None
        shape = (*ops.shape(query)[:2], ops.shape(value)[1])
        return self.sigmoid_noise * keras.random.normal(shape, dtype="float32", seed=self.noise_seed)

    def align(
        self,
        query: Tensor,
        projected_key: Nested,
        keep: Tensor,
        state: Nested,
        training: bool | None = None,
        noise: Tensor = None,
    ) -> Tensor:
        """The weights `[B, K, S]` that go on from the previous ones."""
        logits = self.logits(query, projected_key, state)
        keep = ops.ones_like(logits, dtype="bool") if keep is None else keep
        mode = self.mode if training else (self.inference_mode or self.mode)
        if mode == "hard":
            return hard_monotonic_alignment(ops.logical_and(logits > 0, keep), state[0])
        if noise is not None:
            logits = logits + noise
        probability = ops.where(keep, ops.sigmoid(logits), 0.0)
        alignment = parallel_monotonic_alignment if mode == "parallel" else recursive_monotonic_alignment
        return alignment(probability, state[0])

    def next_state(self, state: Nested, weights: Tensor) -> tuple[Tensor, ...]:
        """These weights, and the next state of the attention within."""
        return (weights, *self.attention.next_state(state[1:], weights))

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "attention": keras.saving.serialize_keras_object(self.attention),
            "mode": self.mode,
            "inference_mode": self.inference_mode,
            "sigmoid_noise": self.sigmoid_noise,
            "score_bias": self.score_bias,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the attention within from its own configuration first."""
        config = dict(config)
        attention = keras.saving.deserialize_keras_object(config.pop("attention"))
        return cls(attention, **config)


def _check(attention, mode, inference_mode, sigmoid_noise):
    # An `align` of its own, such as a window, would be ignored.
    if getattr(type(attention), "align", None) is not StepAttention.align:
        raise ValueError(
            "`attention` must be scored by `logits` and weighted by the softmax. Expected a layer such as "
            f"BahdanauAttention or LuongAttention. Received: attention={attention}."
        )
    for name, value in (("mode", mode), ("inference_mode", inference_mode or mode)):
        if value not in MODES:
            raise ValueError(f"`{name}` is unknown. Expected one of {MODES}. Received: {name}={value!r}.")
    if sigmoid_noise < 0:
        raise ValueError(
            "`sigmoid_noise` is a standard deviation. Expected a number of at least 0. "
            f"Received: sigmoid_noise={sigmoid_noise!r}."
        )
