"""Additive attention with learned projections (Bahdanau, Cho and Bengio 2015)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.ops.scores import additive_logits
from keras_attn.ops.step_loop import rowwise
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class BahdanauAttention(StepAttention):
    """Additive attention: scores a query against a key with a small network.

    ```
    logits[t, s]  = v · tanh(W_q query[t] + W_k key[s])
                  = g v/‖v‖ · tanh(W_q query[t] + W_k key[s] + b)    with normalize
    weights[t, :] = softmax over the s that the masks keep
    context[t]    = sum_s weights[t, s] value[s]
    ```

    `keras.layers.AdditiveAttention` has none of the projections W_q and W_k, only a scale in the place of v,
    and spreads the weights evenly over a row whose keys are all masked. Here such a row gets weights 0 and
    context 0.

    Args:
        units: U, the width of the hidden layer that scores.
        kernel_initializer: of W_q, W_k and v. Default `"glorot_uniform"`.
        normalize: whether v has a learned length g (begins at sqrt(1 / U)) and tanh a bias b (begins at 0).
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
        training: unused; for the calling convention of `keras.layers.MultiHeadAttention`.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.BahdanauAttention(units=8)
    >>> query, value = keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 4))
    >>> context, weights = layer(query, value, return_attention_scores=True)
    >>> tuple(context.shape), tuple(weights.shape)
    ((2, 3, 4), (2, 3, 7))

    Reference: Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate",
    ICLR 2015, section 3.1 and appendix A.1.2. Normalised: Salimans, Kingma, "Weight Normalization", NIPS
    2016, and Raffel et al., ICML 2017, section 2.4.
    """

    def __init__(
        self,
        units: int,
        *,
        kernel_initializer: Initializer = "glorot_uniform",
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"`units` must be a whole number of at least 1. Received: units={units!r}.")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.normalize = normalize

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes W_q `[Dq, U]`, W_k `[Dk, U]`, v `[U]` and, where normalised, g and b `[U]`."""
        key_shape = key_shape or value_shape
        self.query_projection = self._projection("query")
        self.query_projection.build(query_shape)
        self.key_projection = self._projection("key")
        self.key_projection.build(key_shape)
        # As a [U, 1] matrix: the initializers' fan-in is U then.
        self.vector = self.add_weight(
            name="vector", shape=(self.units, 1), initializer=self.kernel_initializer
        )
        if self.normalize:
            length = keras.initializers.Constant(self.units**-0.5)
            self.gain = self.add_weight(name="gain", shape=(), initializer=length)
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.built = True

    def project_memory(self, key: Tensor) -> Nested:
        """`W_k key`: what does not depend on the query, for a decoder to compute once.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            `[B, S, U]`.
        """
        return self.key_projection(key)

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Scores queries `[B, K, Dq]` against projected keys `[B, S, U]`: `[B, K, S]`."""
        return self._score(query, projected_key)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "kernel_initializer": initializer, "normalize": self.normalize}
        return {**super().get_config(), **own}

    def _score(self, query, projected_key, term=None):
        """The logits with `term`, broadcasting to `[B, K, S, U]`, added inside the tanh."""
        if self.normalize:
            bias = ops.cast(self.bias, self.compute_dtype)
            term = bias if term is None else term + bias
        query = rowwise(self.query_projection, query)
        return additive_logits(query, projected_key, self._scoring_vector(), term)

    def _scoring_vector(self):
        """v `[U]`, where normalised of length g."""
        vector = ops.squeeze(self.vector, -1)
        if self.normalize:
            # In float32: float16 cannot hold the squares of small numbers.
            vector = ops.cast(vector, "float32")
            norm = ops.sqrt(ops.maximum(ops.sum(ops.square(vector)), 1e-30))
            vector = ops.cast(self.gain, "float32") * vector / norm
        return ops.cast(vector, self.compute_dtype)

    def _projection(self, name):
        return keras.layers.Dense(
            self.units,
            use_bias=False,
            # A clone each: an initializer draws its seed once, and would fill both with the same numbers.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
