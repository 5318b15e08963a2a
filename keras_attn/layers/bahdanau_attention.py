"""Additive attention with learned projections (Bahdanau, Cho and Bengio 2015)."""

import keras
from keras import ops

from keras_attn.masks import combine_masks
from keras_attn.scores import additive_logits, masked_softmax, weighted_sum


@keras.saving.register_keras_serializable(package="keras_attn")
class BahdanauAttention(keras.layers.Layer):
    """Additive attention: scores a query against a key with a small network.

    ```
    logits[t, s]  = v · tanh(W_q query[t] + W_k key[s])
    weights[t, :] = softmax over the s that the masks keep
    context[t]    = sum_s weights[t, s] value[s]
    ```

    `keras.layers.AdditiveAttention` has none of the projections W_q and W_k, only a scale in the place of v,
    and spreads the weights evenly over a row whose keys are all masked. Here such a row gets weights 0 and
    context 0.

    Args:
        units: U, the width of the hidden layer that scores.
        kernel_initializer: of W_q, W_k and v. Default `"glorot_uniform"`.
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
    ICLR 2015, section 3.1 and appendix A.1.2.
    """

    def __init__(self, units, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        if not isinstance(units, int) or units < 1:
            raise ValueError(f"`units` must be a whole number of at least 1. Received: units={units!r}.")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, query_shape, value_shape, key_shape=None):
        """Makes W_q `[Dq, U]`, W_k `[Dk, U]` and v `[U]`."""
        key_shape = key_shape or value_shape
        self.query_projection = self._projection("query")
        self.query_projection.build(query_shape)
        self.key_projection = self._projection("key")
        self.key_projection.build(key_shape)
        # As a [U, 1] matrix: the initializers' fan-in is U then.
        self.vector = self.add_weight(
            name="vector", shape=(self.units, 1), initializer=self.kernel_initializer
        )
        self.built = True

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        """See the class."""
        key = value if key is None else key
        keep = combine_masks(query, key, query_mask, value_mask, key_mask, attention_mask, use_causal_mask)
        context, weights = self.attend(query, self.project_memory(key), value, keep)
        return (context, weights) if return_attention_scores else context

    def project_memory(self, key):
        """`W_k key`: what does not depend on the query, for a decoder to compute once.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            `[B, S, U]`.
        """
        return self.key_projection(key)

    def attend(self, query, projected_key, value, keep=None):
        """Attends with keys that `project_memory` has projected.

        Args:
            query: `[B, T, Dq]`.
            projected_key: `[B, S, U]`.
            value: `[B, S, Dv]`.
            keep: boolean that broadcasts to `[B, T, S]`, True = keep, or None.

        Returns:
            context `[B, T, Dv]` and float32 weights `[B, T, S]`.
        """
        logits = additive_logits(self.query_projection(query), projected_key, ops.squeeze(self.vector, -1))
        weights = masked_softmax(logits, keep)
        return weighted_sum(weights, value), weights

    def compute_output_spec(self, query, value, *args, return_attention_scores=False, **kwargs):
        """Shapes of the context and, if asked for, of the weights."""
        context = keras.KerasTensor((*query.shape[:2], value.shape[-1]), dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        return context, keras.KerasTensor((*query.shape[:2], value.shape[1]), dtype="float32")

    def get_config(self):
        """Everything the constructor takes."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), "units": self.units, "kernel_initializer": initializer}

    def _projection(self, name):
        return keras.layers.Dense(
            self.units,
            use_bias=False,
            # A clone each: an initializer draws its seed once, and would fill both with the same numbers.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
