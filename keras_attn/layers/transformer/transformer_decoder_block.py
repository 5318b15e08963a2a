"""One layer of a Transformer's decoder (Vaswani et al. 2017)."""

import keras
from keras import ops

from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.transformer.transformer_block import TransformerBlock
from keras_attn.typing import Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class TransformerDecoderBlock(TransformerBlock):
    """Causal self-attention, attention to a memory and a feed-forward layer, each with a residual connection.

    ```
    norm_first=False   h = LayerNorm(x + dropout(attention(x, x)))
                       z = LayerNorm(h + dropout(attention(h, memory)))
                       y = LayerNorm(z + dropout(feed_forward(z)))

    norm_first=True    n = LayerNorm(x);  h = x + dropout(attention(n, n))
                       z = h + dropout(attention(LayerNorm(h), memory))
                       y = z + dropout(feed_forward(LayerNorm(z)))
    ```

    A stack of pre-norm blocks wants one more `keras.layers.LayerNormalization` after the last. `call` runs a
    whole sequence (teacher forcing); `prepare_memory`, `empty_cache` and `step` run the same one place at a
    time for K hypotheses a row, against one copy of the memory.

    Keras has no such block. `torch.nn.TransformerDecoderLayer` gives the same numbers with the same weights
    (a test holds that); its single `dropout` is all three of the rates here, and it has neither a cache nor
    the weights to return.

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
        num_key_value_heads: see `MultiHeadAttention`; of both attentions.
        relative_positions: of `keras_attn.layers`, or None; of the self-attention.
        implementation: of the self-attention: `"full"`, `"blockwise"` or `"windowed"`.
        window: for `"windowed"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, T, D]`.
        memory: `[B, S, M]`.
        inputs_mask: boolean `[B, T]`, True = keep; that of the inputs where Keras carries one.
        memory_mask: boolean `[B, S]`, likewise.
        attention_mask: of the self-attention: boolean, broadcasts to `[B, T, T]`, True = keep.
        memory_attention_mask: of the attention to the memory: boolean, broadcasts to `[B, T, S]`.
        use_causal_mask: whether a place sees only those up to its own. Default True.
        return_attention_scores: also return the weights of both attentions.
        training: whether dropout is active.

    Returns:
        `[B, T, D]`; with `return_attention_scores`, also the float32 weights of the self-attention
        `[B, H, T, T]` and those of the attention to the memory `[B, H, T, S]`.

    Raises:
        ValueError: for sizes below 1, a D that H does not divide, or, in a functional model, a memory whose
            implicit mask got lost.

    Example:

    >>> import keras, keras_attn
    >>> block = keras_attn.layers.TransformerDecoderBlock(num_heads=2, hidden_dim=13)
    >>> inputs, memory = keras.ops.ones((3, 5, 6)), keras.ops.ones((3, 7, 11))
    >>> outputs, own, cross = block(inputs, memory, return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(own.shape), tuple(cross.shape)
    ((3, 5, 6), (3, 2, 5, 5), (3, 2, 5, 7))

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.1 and figure 1, right;
    dropout: section 5.4.
    """

    def build(self, inputs_shape: Shape, memory_shape: Shape) -> None:
        """Makes the three sublayers with their connections."""
        self.self_attention = self._self_attention(inputs_shape)
        self.cross_attention = self._attention("cross_attention", inputs_shape, memory_shape)
        self.feed_forward = self._feed_forward(inputs_shape)
        self.built = True

    def call(
        self,
        inputs: Tensor,
        memory: Tensor,
        inputs_mask: Tensor = None,
        memory_mask: Tensor = None,
        attention_mask: Tensor = None,
        memory_attention_mask: Tensor = None,
        use_causal_mask: bool = True,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        normed = self.self_attention.before(inputs)
        flags = {"return_attention_scores": return_attention_scores, "training": training}
        own = self.self_attention.sublayer(
            normed,
            normed,
            query_mask=inputs_mask,
            value_mask=inputs_mask,
            attention_mask=attention_mask,
            use_causal_mask=use_causal_mask,
            **flags,
        )
        own, *own_weights = own if return_attention_scores else (own,)
        hidden = self.self_attention.after(inputs, own, training=training)
        cross = self.cross_attention.sublayer(
            self.cross_attention.before(hidden),
            memory,
            query_mask=inputs_mask,
            value_mask=memory_mask,
            attention_mask=memory_attention_mask,
            **flags,
        )
        cross, *cross_weights = cross if return_attention_scores else (cross,)
        hidden = self.cross_attention.after(hidden, cross, training=training)
        outputs = self.feed_forward(hidden, training=training)
        return (outputs, *own_weights, *cross_weights) if return_attention_scores else outputs

    def prepare_memory(self, memory: Tensor) -> dict[str, Tensor]:
        """Prepares the memory for all steps, once.

        Args:
            memory: `[B, S, M]`.

        Returns:
            A dictionary of projected keys and values, leaves `[B, Hkv, S, E]`.
        """
        return self.cross_attention.sublayer.project_memory(ops.cast(memory, self.compute_dtype))

    def empty_cache(self, batch_size: Tensor, num_hypotheses: int = 1) -> dict[str, Tensor]:
        """Makes the cache of the self-attention before the first step, without any position.

        Args:
            batch_size: B, an integer or a scalar tensor.
            num_hypotheses: K.

        Returns:
            A dictionary of keys and values, leaves `[B, K, Hkv, 0, E]`.
        """
        return self.self_attention.sublayer.empty_cache(batch_size, num_hypotheses)

    def step(
        self,
        inputs: Tensor,
        position: Tensor,
        cache: dict[str, Tensor],
        memory: Tensor,
        memory_keep: Tensor = None,
        keep: Tensor = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One decoding step of K hypotheses a row, without dropout.

        Args:
            inputs: `[B, K, D]`.
            position: of the inputs in their sequence, a whole number or a scalar tensor.
            cache: what `empty_cache` or the step before returned, leaves `[B, K, Hkv, t, E]`.
            memory: what `prepare_memory` returned; its batch is B, not B x K.
            memory_keep: boolean that broadcasts to `[B, K, S]`, True = keep, or None.
            keep: boolean that broadcasts to `[B, K, t + 1]`, True = keep: which of the places so far, the
                input's own the last, the self-attention sees; None for all.

        Returns:
            outputs `[B, K, D]`, the new cache with leaves `[B, K, Hkv, t + 1, E]`, and the float32 weights on
            the memory `[B, H, K, S]`.
        """
        own = self.self_attention
        inputs = ops.cast(inputs, self.compute_dtype)
        attended, cache, _ = own.sublayer.step(own.before(inputs), position, cache, keep)
        outputs, weights = self._after_self_attention(inputs, attended, memory, memory_keep)
        return outputs, cache, weights

    def extend(
        self,
        inputs: Tensor,
        position: Tensor,
        cache: dict[str, Tensor],
        memory: Tensor,
        memory_keep: Tensor = None,
        keep: Tensor = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """n steps of K hypotheses a row in one pass, without dropout.

        Args:
            inputs: `[B, K, n, D]`.
            position: of the first of the inputs in their sequence, a whole number or a scalar tensor.
            cache: what `empty_cache`, `step`, `extend` or `rewind` returned, leaves `[B, K, Hkv, t, E]`.
            memory: what `prepare_memory` returned; its batch is B, not B x K.
            memory_keep: boolean that broadcasts to `[B, K n, S]`, True = keep, or None.
            keep: boolean that broadcasts to `[B, K, t + n]`, True = keep, or None for all.

        Returns:
            outputs `[B, K, n, D]`, the new cache with leaves `[B, K, Hkv, t + n, E]`, and the float32 weights
            on the memory `[B, H, K, n, S]`.
        """
        own = self.self_attention
        inputs = ops.cast(inputs, self.compute_dtype)
        attended, cache, _ = own.sublayer.extend(own.before(inputs), position, cache, keep)
        shape = ops.shape(inputs)  # to the memory, K n places are as good as K n hypotheses
        places = (shape[0], shape[1] * shape[2], shape[3])
        rows, attended = (ops.reshape(x, places) for x in (inputs, attended))  # [B, K n, D]
        outputs, weights = self._after_self_attention(rows, attended, memory, memory_keep)
        weights = ops.reshape(weights, (shape[0], self.num_heads, *shape[1:3], ops.shape(weights)[-1]))
        return ops.reshape(outputs, shape), cache, weights

    def rewind(self, cache: dict[str, Tensor], num_dropped: Tensor) -> dict[str, Tensor]:
        """The cache as it was before its last `num_dropped` places came."""
        return self.self_attention.sublayer.rewind(cache, num_dropped)

    def compute_output_spec(
        self,
        inputs: Tensor,
        memory: Tensor,
        inputs_mask: Tensor = None,
        memory_mask: Tensor = None,
        attention_mask: Tensor = None,
        memory_attention_mask: Tensor = None,
        use_causal_mask: bool = True,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """Shapes of the outputs and, if asked for, of both kinds of weights."""
        if memory_mask is None and memory_attention_mask is None:
            require_mask(memory, "memory_mask", self)
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        rows = (inputs.shape[0], self.num_heads, inputs.shape[1])
        lengths = (inputs.shape[1], memory.shape[1])
        return outputs, *(keras.KerasTensor((*rows, length), dtype="float32") for length in lengths)

    def _after_self_attention(self, inputs, attended, memory, memory_keep):
        """The rest of a step of N places: outputs `[B, N, D]` and weights on the memory `[B, H, N, S]`."""
        own, cross = self.self_attention, self.cross_attention
        hidden = own.after(inputs, attended)
        attended, weights = cross.sublayer.attend(cross.before(hidden), memory, memory_keep)
        return self.feed_forward(cross.after(hidden, attended)), weights
