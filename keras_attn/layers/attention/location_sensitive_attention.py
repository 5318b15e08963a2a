"""Additive attention that knows where it has just looked (Chorowski et al. 2015)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.attention.bahdanau_attention import BahdanauAttention
from keras_attn.ops.scores import masked_softmax
from keras_attn.ops.step_loop import rowwise
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LocationSensitiveAttention(BahdanauAttention):
    """Bahdanau's attention with features of the previous weights around each key.

    ```
    features[t, s] = sum_i F[i] weights[t-1, s + i - n]     a convolution, n = (kernel_size - 1) / 2
    logits[t, s]   = v · tanh(W_q query[t] + W_k key[s] + U features[t, s] + b)
    weights[t, :]  = softmax over the s that the masks keep;  weights[-1] = 0
    context[t]     = sum_s weights[t, s] value[s]

    cumulative:  the sum of all weights so far in the place of weights[t-1]
    sharpening:  β logits[t, s] in the softmax
    smooth:      weights[t, s] = σ(β logits[t, s]) / sum_j σ(β logits[t, j])  in the place of the softmax
    ```

    The T queries of a call are taken in order. Unlike `keras.layers.AdditiveAttention`, it can tell apart
    keys that look the same, by their place. The paper leaves the weights before the first query open: here
    they are zeros.

    Args:
        units: U, the width of the hidden layer that scores.
        filters: number of the features.
        kernel_size: number of places that a feature sees, odd.
        cumulative: whether the features are of the sum of all previous weights (Tacotron 2).
        kernel_initializer: of W_q, W_k, U, F and v. Default `"glorot_uniform"`.
        normalize: as in `BahdanauAttention`.
        sharpening: β, the inverse temperature: above 1 it narrows the attention, which helps with memories
            longer than those of training. Default 1.
        smooth: whether σ stands for exp in the softmax, which widens the attention.
        **kwargs: of `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros, and the one after
            it goes on from the one before it.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: unused; for the calling convention of `keras.layers.MultiHeadAttention`.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for `filters` below 1, a `kernel_size` that is not odd, or a `sharpening` not above 0.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.LocationSensitiveAttention(units=8, filters=3, kernel_size=5)
    >>> tuple(layer(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 4))).shape)
    (2, 3, 4)

    Reference: Chorowski, Bahdanau, Serdyuk, Cho, Bengio, "Attention-Based Models for Speech Recognition",
    NIPS 2015, section 2.2, equations 8 and 9; sharpening and smoothing: section 2.3.
    """

    def __init__(
        self,
        units: int,
        filters: int = 32,
        kernel_size: int = 31,
        *,
        cumulative: bool = False,
        kernel_initializer: Initializer = "glorot_uniform",
        normalize: bool = False,
        sharpening: float = 1.0,
        smooth: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, kernel_initializer=kernel_initializer, normalize=normalize, **kwargs)
        if not isinstance(filters, int) or filters < 1:
            raise ValueError(
                f"`filters` must be a whole number of at least 1. Received: filters={filters!r}."
            )
        if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must have a middle. Expected an odd whole number. "
                f"Received: kernel_size={kernel_size!r}."
            )
        if not sharpening > 0:
            raise ValueError(
                "`sharpening` multiplies the logits. Expected a number above 0. "
                f"Received: sharpening={sharpening!r}. 1 leaves them as they are."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.cumulative = cumulative
        self.sharpening = sharpening
        self.smooth = smooth

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes the weights of `BahdanauAttention`, F `[kernel_size, 1, filters]`, U `[filters, U]` and b."""
        super().build(query_shape, value_shape, key_shape)
        self.convolution = keras.layers.Conv1D(
            self.filters,
            self.kernel_size,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution.build((None, None, 1))
        self.location_projection = self._projection("location")
        self.location_projection.build((None, None, None, self.filters))
        if not self.normalize:  # which has a bias of its own
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def initial_attention_state(self, projected_key: Nested) -> tuple[Tensor, ...]:
        """The weights before the first query: zeros `[B, 1, S]`."""
        return (self._no_weights(projected_key),)

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Scores queries `[B, K, Dq]` with the previous weights `[B, K, S]` of each: `[B, K, S]`."""
        batch, beams, places = ops.shape(state[0])
        rows = ops.cast(ops.reshape(state[0], (batch * beams, places, 1)), self.compute_dtype)  # [B K, S, 1]
        features = ops.reshape(self.convolution(rows), (batch, beams, places, self.filters))
        term = rowwise(self.location_projection, features)  # [B, K, S, U]
        if not self.normalize:
            term = term + ops.cast(self.bias, self.compute_dtype)
        return self._score(query, projected_key, term)

    def align(
        self, query: Tensor, projected_key: Nested, keep: Tensor, state: Nested, training: bool | None = None
    ) -> Tensor:
        """The weights `[B, K, S]`: of the sharpened logits, by the softmax or smoothed."""
        logits = self.sharpening * ops.cast(self.logits(query, projected_key, state), "float32")
        # The softmax of log σ(x) is σ(x) over the sum of them.
        return masked_softmax(ops.log_sigmoid(logits) if self.smooth else logits, keep)

    def next_state(self, state: Nested, weights: Tensor) -> tuple[Tensor, ...]:
        """These weights, or the sum of all so far."""
        return (state[0] + weights,) if self.cumulative else (weights,)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        own = ("filters", "kernel_size", "cumulative", "sharpening", "smooth")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
