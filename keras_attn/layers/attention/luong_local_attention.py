"""Luong's attention within a window around a place that it predicts (Luong, Pham and Manning 2015)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.attention.luong_attention import LuongAttention
from keras_attn.ops.scores import masked_softmax
from keras_attn.ops.step_loop import rowwise
from keras_attn.typing import Config, Initializer, LuongScore, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LuongLocalAttention(LuongAttention):
    """Luong's local attention: looks only at the keys around a place p.

    ```
    p[t]          = L · sigmoid(v_p · tanh(W_p query[t]))       "predictive" (local-p)
                  = t                                           "monotonic"  (local-m)
    weights[t, s] = softmax of logits[t, s] over the s with |s - p[t]| <= window that the masks keep,
                    with "predictive" times exp(-(s - p[t])² / (2 (window / 2)²))
    context[t]    = sum_s weights[t, s] value[s]
    ```

    L is the number of keys up to the last that a query may see, so that padding at the end changes nothing;
    s and t count from 0. With "predictive" the weights sum to less than 1, as in the paper. "monotonic"
    takes the T queries of a call in order and does not count those that see nothing. All S keys are scored
    before the window is cut out: the point is where it looks, not the time that it takes. Keras has nothing
    of the kind; `keras.layers.MultiHeadAttention(sliding_window=...)` has a window at a fixed place.

    Args:
        window: D, how far from p a key may be. The paper has 10.
        score: as in `LuongAttention`. Default `"general"`.
        units: as in `LuongAttention`.
        scale: as in `LuongAttention`.
        alignment: `"predictive"` or `"monotonic"`. Default `"predictive"`.
        kernel_initializer: of the weights of `LuongAttention`, W_p and v_p. Default `"glorot_uniform"`.
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
        ValueError: for a window below 1 or an unknown alignment, and as `LuongAttention` does.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.LuongLocalAttention(window=1, score="dot", alignment="monotonic")
    >>> _, weights = layer(keras.ops.ones((1, 2, 5)), keras.ops.ones((1, 4, 5)), return_attention_scores=True)
    >>> (100 * keras.ops.convert_to_numpy(weights)[0]).round().astype(int).tolist()
    [[50, 50, 0, 0], [33, 33, 33, 0]]

    Reference: Luong, Pham, Manning, "Effective Approaches to Attention-based Neural Machine Translation",
    EMNLP 2015, section 3.2, equations 9 and 10.
    """

    def __init__(
        self,
        window: int,
        score: LuongScore = "general",
        *,
        units: int | None = None,
        scale: bool = False,
        alignment: str = "predictive",
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(score, units=units, scale=scale, kernel_initializer=kernel_initializer, **kwargs)
        if not isinstance(window, int) or window < 1:
            raise ValueError(f"`window` must be a whole number of at least 1. Received: window={window!r}.")
        if alignment not in ("predictive", "monotonic"):
            raise ValueError(
                "`alignment` is unknown. Expected 'predictive' or 'monotonic'. "
                f"Received: alignment={alignment!r}."
            )
        self.window = window
        self.alignment = alignment

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes the weights of `LuongAttention`; with "predictive" W_p `[Dq, Dq]` and v_p `[Dq, 1]` too."""
        super().build(query_shape, value_shape, key_shape)
        if self.alignment == "predictive":
            self.position_projection = self._projection(query_shape[-1], "position")
            self.position_projection.build(query_shape)
            self.position_vector = self.add_weight(
                name="position_vector",
                shape=(query_shape[-1], 1),
                initializer=self.kernel_initializer.clone(),
            )

    def initial_attention_state(self, projected_key: Nested) -> tuple[Tensor, ...]:
        """With "monotonic", the number of queries so far: 0 `[B, 1, 1]`."""
        if self.alignment == "predictive":
            return ()
        return (ops.zeros((ops.shape(projected_key)[0], 1, 1), "float32"),)

    def align(
        self, query: Tensor, projected_key: Nested, keep: Tensor, state: Nested, training: bool | None = None
    ) -> Tensor:
        """The weights `[B, K, S]` of the window around p."""
        logits = self.logits(query, projected_key, state)
        keep = ops.ones_like(logits, dtype="bool") if keep is None else keep
        places = ops.arange(ops.shape(logits)[-1], dtype="float32")
        center = state[0] if state else self._predicted_place(query, keep, places)  # [B, K, 1]
        distance = places - center  # [B, K, S]
        weights = masked_softmax(logits, ops.logical_and(keep, ops.abs(distance) <= self.window))
        if self.alignment == "monotonic":
            return weights
        return weights * ops.exp(-2.0 * ops.square(distance / self.window))

    def next_state(self, state: Nested, weights: Tensor) -> tuple[Tensor, ...]:
        """One query more."""
        return tuple(count + 1.0 for count in state)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "window": self.window, "alignment": self.alignment}

    def _predicted_place(self, query, keep, places):
        """p `[B, K, 1]`, in float32: bfloat16 cannot count beyond 256."""
        hidden = ops.tanh(rowwise(self.position_projection, query))
        vector = ops.cast(self.position_vector, self.compute_dtype)
        logits = rowwise(lambda rows: ops.matmul(rows, vector), hidden)  # [B, K, 1]
        length = ops.max(ops.where(keep, places + 1.0, 0.0), axis=-1, keepdims=True, initial=0.0)
        return length * ops.sigmoid(ops.cast(logits, "float32"))
