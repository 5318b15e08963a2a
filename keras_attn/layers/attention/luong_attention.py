"""Multiplicative attention and its relatives (Luong, Pham and Manning 2015)."""

from typing import Any, get_args

import keras
from keras import ops

from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.ops.scores import additive_logits, dot_logits
from keras_attn.ops.step_loop import rowwise
from keras_attn.typing import Config, Initializer, LuongScore, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LuongAttention(StepAttention):
    """Luong's global attention: scores a query against a key by a product.

    ```
    logits[t, s]  = query[t] · key[s]                     score="dot"
                  = query[t] · W key[s]                   score="general"
                  = v · tanh(W_q query[t] + W_k key[s])   score="concat": W [query; key] in two halves
                    (times a learned g, with scale)
    weights[t, :] = softmax over the s that the masks keep
    context[t]    = sum_s weights[t, s] value[s]
    ```

    `keras.layers.Attention` has neither W nor v: its "dot" is ours, its "concat" is ours with W_q and W_k the
    identity and all of v one number. It also spreads the weights evenly over a row whose keys are all masked;
    here such a row gets weights 0 and context 0. tfa.seq2seq.LuongAttention is `score="general"`.

    Args:
        score: `"dot"`, `"general"` or `"concat"`. Default `"dot"`.
        units: U, the width of the hidden layer of `"concat"`; the others have none.
        scale: whether `"dot"` and `"general"` are multiplied by one learned number g, which begins at 1.
        kernel_initializer: of W, W_q, W_k and v. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None. With `"dot"`, Dk = Dq.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: unused; for the calling convention of `keras.layers.MultiHeadAttention`.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for an unknown score, `units` or `scale` where the score has none, and with `"dot"` for
            keys that are not as wide as the queries.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.LuongAttention("general")
    >>> context = layer(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 4)))
    >>> tuple(context.shape)
    (2, 3, 4)

    Reference: Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation",
    EMNLP 2015, section 3.1: equation 7 with the content-based scores below it (equation 8 is a score by
    location alone, which this layer does not have).
    """

    def __init__(
        self,
        score: LuongScore = "dot",
        *,
        units: int | None = None,
        scale: bool = False,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check(score, units, scale)
        self.score = score
        self.units = units
        self.scale = scale
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes what the score needs: W `[Dk, Dq]`; or W_q `[Dq, U]`, W_k `[Dk, U]` and v `[U]`; and g."""
        key_shape = key_shape or value_shape
        if self.score == "dot" and query_shape[-1] != key_shape[-1]:
            raise ValueError(
                f"`key` must be as wide as `query` for score='dot'. Expected width {query_shape[-1]}. "
                f"Received: query {tuple(query_shape)}, key {tuple(key_shape)}. "
                "score='general' and score='concat' take any widths."
            )
        if self.score != "dot":
            self.key_projection = self._projection(self.units or query_shape[-1], "key")
            self.key_projection.build(key_shape)
        if self.score == "concat":
            self.query_projection = self._projection(self.units, "query")
            self.query_projection.build(query_shape)
            # As a [U, 1] matrix: the initializers' fan-in is U then.
            self.vector = self.add_weight(
                name="vector", shape=(self.units, 1), initializer=self.kernel_initializer
            )
        if self.scale:
            self.gain = self.add_weight(name="gain", shape=(), initializer="ones")
        self.built = True

    def project_memory(self, key: Tensor) -> Nested:
        """`W key`, `W_k key` or, with `"dot"`, the keys as they are.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            `[B, S, Dq]`, with `"concat"` `[B, S, U]`.
        """
        return ops.cast(key, self.compute_dtype) if self.score == "dot" else self.key_projection(key)

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Scores queries `[B, K, Dq]` against what `project_memory` returned: `[B, K, S]`."""
        if self.score == "concat":
            vector = ops.cast(ops.squeeze(self.vector, -1), self.compute_dtype)
            return additive_logits(rowwise(self.query_projection, query), projected_key, vector)
        logits = dot_logits(ops.cast(query, self.compute_dtype), projected_key)
        return ops.cast(self.gain, self.compute_dtype) * logits if self.scale else logits

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"score": self.score, "units": self.units, "scale": self.scale}
        return {**super().get_config(), **own, "kernel_initializer": initializer}

    def _projection(self, units, name):
        return keras.layers.Dense(
            units,
            use_bias=False,
            # A clone each: an initializer draws its seed once, and would fill both with the same numbers.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )


def _check(score, units, scale):
    if score not in get_args(LuongScore):
        raise ValueError(
            f"`score` is unknown. Expected one of {get_args(LuongScore)}. Received: score={score!r}."
        )
    if score == "concat" and (not isinstance(units, int) or units < 1):
        raise ValueError(
            "`units` must be a whole number of at least 1 for score='concat'. "
            f"Received: units={units!r}. Give the width of the layer that scores."
        )
    if score != "concat" and units is not None:
        raise ValueError(
            f"`units` belongs to score='concat'. Expected None. Received: units={units!r}, score={score!r}. "
            "The width of 'general' is the query's."
        )
    if score == "concat" and scale:
        raise ValueError(
            "`scale` does nothing for score='concat', whose v is learned already. Expected False. "
            "Received: scale=True. Leave it out."
        )
