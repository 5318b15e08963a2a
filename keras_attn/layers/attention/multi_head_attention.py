"""Scaled dot-product attention of several heads (Vaswani et al. 2017)."""

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_attention_inputs
from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.attention.multi_head_projections import check_call
from keras_attn.layers.attention.multi_head_steps import CachedAttention
from keras_attn.ops.blockwise import blockwise_attention
from keras_attn.ops.heads import Masks, aligned_positions, both_masks, four_axes, keep_of_heads, zero_unseen
from keras_attn.ops.masks import seen_queries, seen_under_padding
from keras_attn.ops.windowed import windowed_attention
from keras_attn.typing import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class MultiHeadAttention(CachedAttention):
    """Scaled dot-product attention, several times side by side, each over projections of its own.

    For every head h, with g the head of keys and values that it uses:

    ```
    logits[h, t, s]  = (W_q query[t] + b_q)_h · (W_k key[s] + b_k)_g / sqrt(E)
    weights[h, t, :] = softmax over the s that the masks keep
    context[h, t]    = sum_s weights[h, t, s] (W_v value[s] + b_v)_g
    output[t]        = W_o [context[1, t]; ...; context[H, t]] + b_o
    ```

    A query with nothing to see has weights 0, and its output is 0 as well, not b_o. Where it sees nothing in
    some heads alone, the context of those heads is 0.

    Differs from `keras.layers.MultiHeadAttention`: one numeric path whether weights are returned or not and
    with dropout or without; softmax in float32; a fully masked row is 0 on every path; `query_mask` counts;
    the causal mask is aligned to the end; kernels are matrices `[D, H E]`, whose fan-in and fan-out an
    initializer sees as they are; the weights returned are those before dropout, in float32.

    Args:
        num_heads: H, the number of heads of queries.
        key_dim: E, the width of a head's queries and keys.
        value_dim: Ev, the width of a head's values; `key_dim` when None.
        num_key_value_heads: Hkv, the number of heads of keys and values, each shared by H / Hkv heads of
            queries without being repeated (1 is multi-query attention); `num_heads` when None.
        dropout: rate on the weights.
        use_bias: whether the projections have biases.
        output_shape: width of the output; that of the query when None.
        relative_positions: one of the schemes of `keras_attn.layers`, or None. Query t stands at
            position t + S - T, key s at position s.
        implementation: `"full"`; `"blockwise"`: the same numbers in memory that grows with T + S (but for an
            `attention_mask`, which is as large as it is), and in less time where the mask is causal, without
            dropout; `"windowed"`: each query sees the keys at
            most `window` positions before and after it, in memory that grows with T x window. The last two
            return no weights.
        block_size: number of queries, and of keys, in a block of `"blockwise"`.
        window: for `"windowed"`, how far a query sees.
        kernel_initializer: of the kernels. Default `"glorot_uniform"`.
        bias_initializer: of the biases. Default `"zeros"`.
        seed: of the dropout.
        **kwargs: of `keras.layers.Layer` (`name`, `dtype`, ...).

    Call arguments:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: boolean `[B, T]`, True = keep.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]` or, with four axes, to `[B, H, T, S]`; True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: whether to drop weights.

    Returns:
        `[B, T, Dq]`, or `[B, T, output_shape]`; with `return_attention_scores`, also the float32 weights
        `[B, H, T, S]`.

    Raises:
        ValueError: for arguments that do not go together, such as a mask of another length or a float mask
            that is meant to be added to the logits; in a functional model, for a value whose implicit
            mask got lost and that is given no other.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.MultiHeadAttention(num_heads=6, key_dim=4, num_key_value_heads=2)
    >>> query, value = keras.ops.ones((2, 3, 5)), keras.ops.ones((2, 7, 11))
    >>> output, weights = layer(query, value, return_attention_scores=True)
    >>> tuple(output.shape), tuple(weights.shape)
    ((2, 3, 5), (2, 6, 3, 7))

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2; heads that share keys
    and values: Ainslie et al., "GQA", EMNLP 2023, section 2.2.
    """

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        check_call(self.implementation, return_attention_scores)
        check_attention_inputs(
            query, value, key, query_mask, value_mask, key_mask, attention_mask, with_heads=True
        )
        key = value if key is None else key
        query_positions, key_positions = aligned_positions(ops.shape(query)[1], ops.shape(key)[1])
        heads = self._project(query, key, value, query_positions, key_positions)
        masks = Masks(query_mask, both_masks(value_mask, key_mask), attention_mask, use_causal_mask)
        if self.implementation != "full":
            attend = self._attend_in_blocks if self.implementation == "blockwise" else self._attend_nearby
            return self._join_heads(*attend(heads, masks, training))
        keep = keep_of_heads(query, key, masks)
        seen = _seen(heads, keep, masks)
        queries, keys, values = heads
        context, weights = self._attend_heads(
            queries, keys, values, keep, query_positions, key_positions, training
        )
        output = self._join_heads(context, seen)
        return (output, zero_unseen(weights, seen)) if return_attention_scores else output

    def attend(self, query: Tensor, memory: Tensor, keep: Tensor = None) -> tuple[Tensor, Tensor]:
        """Attends with a memory that `project_memory` has projected, without dropout.

        K hypotheses of a row are K queries to one memory.

        Args:
            query: `[B, K, Dq]`.
            memory: what `project_memory` returned; its batch is B, not B x K.
            keep: boolean that broadcasts to `[B, K, S]`, True = keep, or None.

        Returns:
            output `[B, K, D]` and float32 weights `[B, H, K, S]`.

        Raises:
            ValueError: for a layer with relative positions or a window: hypotheses have no distance.
        """
        if self.relative_positions is not None or self.window is not None:
            raise ValueError(
                "`attend` knows no positions. Expected a layer without `relative_positions` and `window`. "
                f"Received: relative_positions={self.relative_positions}, window={self.window}. "
                "Use `step` for self-attention."
            )
        queries = self._project_query(query)
        keep = four_axes(keep)
        context, weights = self._attend_heads(queries, memory["keys"], memory["values"], keep)
        seen = seen_queries(keep)
        return self._join_heads(context, seen), zero_unseen(weights, seen)

    def compute_output_spec(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor = None,
        query_mask: Tensor = None,
        value_mask: Tensor = None,
        key_mask: Tensor = None,
        attention_mask: Tensor = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """Shapes of the output and, if asked for, of the weights."""
        check_call(self.implementation, return_attention_scores)
        check_attention_inputs(
            query, value, key, query_mask, value_mask, key_mask, attention_mask, with_heads=True
        )
        # Under a causal mask, no place sees the padding after it.
        if value_mask is None and key_mask is None and attention_mask is None and not use_causal_mask:
            require_mask(value, "value_mask", self)
        shape = (*query.shape[:2], self.output_dim or query.shape[-1])
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(shape, dtype="float32")

    def _attend_in_blocks(self, heads, masks, training):
        """Computes the context without a `[T, S]` tensor, and which queries see a key."""
        num_queries, num_keys = ops.shape(heads[0])[2], ops.shape(heads[1])[2]
        tables = {}
        if self.relative_positions is not None:
            distance = ops.arange(num_queries + num_keys - 1) - (num_keys - 1)
            tables = self.relative_positions.tables(distance)
        context = blockwise_attention(
            *heads,
            key_mask=masks.key,
            use_causal_mask=masks.causal,
            attention_mask=masks.attention,
            tables=tables,
            block_size=self.block_size,
        )
        keep = None
        if masks.attention is not None:
            keep = keep_of_heads(*(ops.swapaxes(x, 1, 2) for x in heads[:2]), masks)
        return context, _seen(heads, keep, masks)

    def _attend_nearby(self, heads, masks, training):
        """Computes the context in the window, and which queries see a key there."""

        def attend(*arguments):
            return self._attend_heads(*arguments, training)[0]

        context, seen = windowed_attention(
            attend,
            *heads,
            window=self.window,
            key_mask=masks.key,
            use_causal_mask=masks.causal,
            attention_mask=masks.attention,
        )
        return context, both_masks(seen, seen_under_padding(1, 1, query_mask=masks.query))


def _seen(heads, keep, masks):
    """Finds the queries that see a key: from the masks of padding where these say it, else from `keep`."""
    if masks.attention is not None:
        return seen_queries(keep)
    lengths = (ops.shape(x)[2] for x in heads[:2])
    return seen_under_padding(
        *lengths, query_mask=masks.query, key_mask=masks.key, use_causal_mask=masks.causal
    )
