"""One layer of a Transformer's encoder (Vaswani et al. 2017)."""

import keras
from keras import ops

from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.transformer.transformer_block import TransformerBlock
from keras_attn.typing import Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention and a feed-forward layer, each with a residual connection and layer normalisation.

    ```
    norm_first=False   h = LayerNorm(x + dropout(attention(x, x)))
                       y = LayerNorm(h + dropout(feed_forward(h)))

    norm_first=True    n = LayerNorm(x);  h = x + dropout(attention(n, n))
                       y = h + dropout(feed_forward(LayerNorm(h)))
    ```

    A stack of pre-norm blocks wants one more `keras.layers.LayerNormalization` after the last. With
    `use_causal_mask` it is the block of a decoder that has no encoder: `prefill` runs a prompt at once,
    `empty_cache` begins without one, and `step` goes on from either, one place at a time for K hypotheses a
    row.

    Keras has no such block. `torch.nn.TransformerEncoderLayer` gives the same numbers with the same weights
    (a test holds that); its single `dropout` is all three of the rates here.

    Args:
        num_heads: H.
        hidden_dim: width of the feed-forward layer between its two dense layers; 4 D in the paper.
        key_dim: width of a head; D / H when None.
        activation: of the feed-forward layer. Default `"relu"`, as in the paper.
        dropout: rate on the output of each sublayer, before the sum: the paper's, 0.1 there.
        attention_dropout: rate on the attention weights; the paper has none.
        activation_dropout: rate inside the feed-forward layer; the paper has none.
        norm_first: pre-norm instead of the paper's post-norm.
        epsilon: of the normalisations. Default 1e-5.
        num_key_value_heads: see `MultiHeadAttention`.
        relative_positions: of `keras_attn.layers`, or None.
        implementation: of the attention: `"full"`, `"blockwise"` or `"windowed"`.
        window: for `"windowed"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, T, D]`.
        inputs_mask: boolean `[B, T]`, True = keep; that of the inputs where Keras carries one.
        attention_mask: boolean, broadcasts to `[B, T, T]`, True = keep.
        use_causal_mask: whether a place sees only those up to its own.
        return_attention_scores: also return the weights.
        training: whether dropout is active.

    Returns:
        `[B, T, D]`; with `return_attention_scores`, also the float32 weights `[B, H, T, T]`.

    Raises:
        ValueError: for sizes below 1, a D that H does not divide, or, in a functional model, inputs whose
            implicit mask got lost.

    Example:

    >>> import keras, keras_attn
    >>> block = keras_attn.layers.TransformerEncoderBlock(num_heads=2, hidden_dim=13, norm_first=True)
    >>> tuple(block(keras.ops.ones((3, 5, 6))).shape)
    (3, 5, 6)

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.1 and figure 1, left;
    dropout: section 5.4.
    """

    def build(self, inputs_shape: Shape) -> None:
        """Makes both sublayers with their connections."""
        self.self_attention = self._self_attention(inputs_shape)
        self.feed_forward = self._feed_forward(inputs_shape)
        self.built = True

    def call(
        self,
        inputs: Tensor,
        inputs_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        normed = self.self_attention.before(inputs)
        attended = self.self_attention.sublayer(
            normed,
            normed,
            query_mask=inputs_mask,
            value_mask=inputs_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
            return_attention_scores=return_attention_scores,
            training=training,
        )
        attended, weights = attended if return_attention_scores else (attended, None)
        hidden = self.self_attention.after(inputs, attended, training=training)
        outputs = self.feed_forward(hidden, training=training)
        return (outputs, weights) if return_attention_scores else outputs

    def empty_cache(self, batch_size: Tensor, num_hypotheses: int = 1) -> dict[str, Tensor]:
        """Makes the cache of the self-attention before the first step, without any position.

        Args:
            batch_size: B, an integer or a scalar tensor.
            num_hypotheses: K.

        Returns:
            A dictionary of keys and values, leaves `[B, K, Hkv, 0, E]`.
        """
        return self.self_attention.sublayer.empty_cache(batch_size, num_hypotheses)

    def prefill(self, inputs: Tensor, inputs_mask: Tensor = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Runs a whole prompt with a causal mask, without dropout, and remembers it.

        Args:
            inputs: `[B, S, D]`, at the positions 0 to S - 1.
            inputs_mask: boolean `[B, S]`, True = keep, or None. `step` has to be told the same as `keep`.

        Returns:
            outputs `[B, S, D]` and the cache, leaves `[B, 1, Hkv, S, E]`.
        """
        inputs = ops.cast(inputs, self.compute_dtype)
        attention = self.self_attention.sublayer
        normed = self.self_attention.before(inputs)
        cache = attention.project_memory(normed)
        if attention.relative_positions is not None:
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
            cache["keys"] = attention.relative_positions.rotate(cache["keys"], positions)
        outputs = self(inputs, inputs_mask=inputs_mask, use_causal_mask=True, training=False)
        return outputs, {name: ops.expand_dims(leaf, 1) for name, leaf in cache.items()}

    def step(
        self, inputs: Tensor, position: Tensor, cache: dict[str, Tensor], keep: Tensor = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One causal step of K hypotheses a row, without dropout.

        Args:
            inputs: `[B, K, D]`.
            position: of the inputs in their sequence, a whole number or a scalar tensor.
            cache: what `empty_cache`, `prefill` or the step before returned, leaves `[B, K, Hkv, t, E]`.
            keep: boolean that broadcasts to `[B, K, t + 1]`: which places count, True = keep; None for all.

        Returns:
            outputs `[B, K, D]`, the new cache with leaves `[B, K, Hkv, t + 1, E]`, and the float32 weights
            `[B, H, K, t + 1]`.
        """
        own = self.self_attention
        inputs = ops.cast(inputs, self.compute_dtype)
        attended, cache, weights = own.sublayer.step(own.before(inputs), position, cache, keep)
        hidden = own.after(inputs, attended)
        return self.feed_forward(hidden), cache, weights

    def extend(
        self, inputs: Tensor, position: Tensor, cache: dict[str, Tensor], keep: Tensor = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """n causal steps of K hypotheses a row in one pass, without dropout.

        Args:
            inputs: `[B, K, n, D]`.
            position: of the first of the inputs in their sequence, a whole number or a scalar tensor.
            cache: what `empty_cache`, `prefill`, `step`, `extend` or `rewind` returned, leaves
                `[B, K, Hkv, t, E]`.
            keep: boolean that broadcasts to `[B, K, t + n]`: which places count, True = keep; None for all.

        Returns:
            outputs `[B, K, n, D]`, the new cache with leaves `[B, K, Hkv, t + n, E]`, and the float32 weights
            `[B, H, K, n, t + n]`.
        """
        own = self.self_attention
        inputs = ops.cast(inputs, self.compute_dtype)
        attended, cache, weights = own.sublayer.extend(own.before(inputs), position, cache, keep)
        hidden = own.after(inputs, attended)
        return self.feed_forward(hidden), cache, weights

    def rewind(self, cache: dict[str, Tensor], num_dropped: Tensor) -> dict[str, Tensor]:
        """The cache as it was before its last `num_dropped` places came."""
        return self.self_attention.sublayer.rewind(cache, num_dropped)

    def compute_output_spec(
        self,
        inputs: Tensor,
        inputs_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """Shapes of the outputs and, if asked for, of the weights."""
        # Padding comes at the end, where a causal mask hides it from all that is not padding.
        if inputs_mask is None and attention_mask is None and not use_causal_mask:
            require_mask(inputs, "inputs_mask", self)
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        batch_size, length, _ = inputs.shape
        return outputs, keras.KerasTensor((batch_size, self.num_heads, length, length), dtype="float32")
