"""Additive attention that knows what it has attended to (Tu et al. 2016; See et al. 2017)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.attention.bahdanau_attention import BahdanauAttention
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class CoverageAttention(BahdanauAttention):
    """Bahdanau's attention with a term for how much attention a key has had.

    ```
    coverage[t, s] = sum over the queries j before t of weights[j, s]
    logits[t, s]   = v · tanh(W_q query[t] + W_k key[s] + w_c coverage[t, s])
    weights[t, :]  = softmax over the s that the masks keep
    context[t]     = sum_s weights[t, s] value[s]

    with fertility N:  coverage[t, s] / (N sigmoid(u_f · key[s]))  in the place of coverage
    ```

    The T queries of a call are taken in order. See et al. also have a bias inside the tanh, as
    `normalize=True` gives it. Their coverage loss, of the returned weights, is
    `keras_attn.losses.coverage_loss`. Keras has no such layer: `keras.layers.AdditiveAttention`
    forgets what it did.

    Args:
        units: U, the width of the hidden layer that scores.
        kernel_initializer: of W_q, W_k, v, w_c and u_f. Default `"glorot_uniform"`.
        normalize: as in `BahdanauAttention`.
        fertility: N, the most target tokens that a source token may give (Tu et al.); None for the plain sum.
        **kwargs: of `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros and covers nothing.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: unused; for the calling convention of `keras.layers.MultiHeadAttention`.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for a fertility that is not above 0.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.CoverageAttention(units=8)
    >>> tuple(layer(keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 4))).shape)
    (2, 3, 4)

    Reference: See, Liu, Manning, "Get To The Point: Summarization with Pointer-Generator Networks", ACL 2017,
    section 2.3, equations 10 to 12; Tu, Lu, Liu, Liu, Li, "Modeling Coverage for Neural Machine Translation",
    ACL 2016, section 3.1.1, the linguistic coverage, with the full sum.
    """

    def __init__(
        self,
        units: int,
        *,
        kernel_initializer: Initializer = "glorot_uniform",
        normalize: bool = False,
        fertility: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, kernel_initializer=kernel_initializer, normalize=normalize, **kwargs)
        if fertility is not None and not fertility > 0:
            raise ValueError(
                "`fertility` is a number of target tokens. Expected a number above 0, or None. "
                f"Received: fertility={fertility!r}."
            )
        self.fertility = fertility

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes the weights of `BahdanauAttention`, w_c `[1, U]` and, with fertility, u_f `[Dk, 1]`."""
        super().build(query_shape, value_shape, key_shape)
        initializer = self.kernel_initializer
        self.coverage_kernel = self.add_weight(
            name="coverage", shape=(1, self.units), initializer=initializer.clone()
        )
        if self.fertility is not None:
            width = (key_shape or value_shape)[-1]
            self.fertility_kernel = self.add_weight(
                name="fertility", shape=(width, 1), initializer=initializer.clone()
            )

    def project_memory(self, key: Tensor) -> Nested:
        """Projects the keys, which depend on no query: a decoder does it once.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            A dictionary: `"keys"`, W_k key `[B, S, U]`; with fertility, `"fertility"` `[B, S, 1]`, float32.
        """
        memory = {"keys": super().project_memory(key)}
        if self.fertility is not None:
            kernel = ops.cast(self.fertility_kernel, self.compute_dtype)
            logits = ops.matmul(ops.cast(key, self.compute_dtype), kernel)
            memory["fertility"] = self.fertility * ops.sigmoid(ops.cast(logits, "float32"))
        return memory

    def initial_attention_state(self, projected_key: Nested) -> tuple[Tensor, ...]:
        """The coverage, nothing yet: zeros `[B, 1, S]`."""
        return (self._no_weights(projected_key),)

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Scores queries `[B, K, Dq]` with the coverage `[B, K, S]` of each: `[B, K, S]`."""
        (coverage,) = state
        if self.fertility is not None:
            fertility = ops.swapaxes(projected_key["fertility"], 1, 2)  # [B, 1, S]
            coverage = coverage / ops.maximum(fertility, 1e-6)
        coverage = ops.cast(ops.expand_dims(coverage, -1), self.compute_dtype)  # [B, K, S, 1]
        term = coverage * ops.cast(self.coverage_kernel, self.compute_dtype)  # [B, K, S, U]
        return self._score(query, projected_key["keys"], term)

    def next_state(self, state: Nested, weights: Tensor) -> tuple[Tensor, ...]:
        """The coverage with these weights added."""
        return (state[0] + weights,)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "fertility": self.fertility}
