"""The attention of projected heads, and causal self-attention that goes on from a cache."""

from keras import ops

from keras_attn.layers.attention.multi_head_projections import AttentionHeads
from keras_attn.ops.heads import both_masks, four_axes, merge_hypotheses, zero_unseen
from keras_attn.ops.masks import causal_mask, seen_queries
from keras_attn.ops.scores import grouped_dot_logits, grouped_weighted_sum, softmax_of_kept
from keras_attn.typing import Tensor


class CachedAttention(AttentionHeads):
    """Steps of `MultiHeadAttention` in a decoder, one position at a time or several at once.

    ```
    empty_cache -> cache;   step, extend: inputs, cache -> outputs, longer cache;   rewind: shorter cache
    ```
    """

    def empty_cache(self, batch_size: Tensor, num_hypotheses: int) -> dict[str, Tensor]:
        """The cache of `step` before the first step.

        Args:
            batch_size: B.
            num_hypotheses: K.

        Returns:
            A dictionary of `"keys"` `[B, K, Hkv, 0, E]` and `"values"` `[B, K, Hkv, 0, Ev]`.
        """
        shape = (batch_size, num_hypotheses, self.num_key_value_heads, 0)
        return {
            "keys": ops.zeros((*shape, self.key_dim), self.compute_dtype),
            "values": ops.zeros((*shape, self.value_dim), self.compute_dtype),
        }

    def step(
        self, inputs: Tensor, position: Tensor, cache: dict[str, Tensor], keep: Tensor = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """One step of causal self-attention of K hypotheses a row, each with a past of its own; no dropout.

        Args:
            inputs: `[B, K, D]`.
            position: of the inputs in their sequence, a whole number or scalar tensor; t when the cache
                began empty.
            cache: what `empty_cache` or the step before returned, leaves `[B, K, Hkv, t, ...]`.
            keep: boolean that broadcasts to `[B, K, t + 1]`, True = keep: which of the cached places and of
                the input itself, the last, are seen (those of padding in a prompt are not); None for all.

        Returns:
            outputs `[B, K, D]`, the new cache with leaves `[B, K, Hkv, t + 1, ...]` and the float32 weights
            `[B, H, K, t + 1]`.
        """
        batch, hypotheses, width = ops.shape(inputs)
        rows = ops.reshape(inputs, (batch * hypotheses, 1, width))
        outputs, cache, weights = self._go_on(rows, position, cache, keep)
        outputs = ops.reshape(outputs, (batch, hypotheses, -1))
        length = ops.shape(weights)[-1]
        weights = ops.reshape(weights, (batch, hypotheses, self.num_heads, length))
        return outputs, cache, ops.swapaxes(weights, 1, 2)

    def extend(
        self, inputs: Tensor, position: Tensor, cache: dict[str, Tensor], keep: Tensor = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """n steps in one pass: each of the n places sees the cache, those before it, and itself; no dropout.

        Args:
            inputs: `[B, K, n, D]`.
            position: of the first of the inputs in their sequence, a whole number or scalar tensor.
            cache: what `empty_cache`, `step`, `extend` or `rewind` returned, leaves `[B, K, Hkv, t, ...]`.
            keep: boolean that broadcasts to `[B, K, t + n]`, True = keep: which of the cached places and of
                the inputs are seen, where the order of places lets them be; None for all.

        Returns:
            outputs `[B, K, n, D]`, the new cache with leaves `[B, K, Hkv, t + n, ...]` and the float32
            weights `[B, H, K, n, t + n]`, 0 on the places after a query's own.
        """
        batch, hypotheses, num_new, width = ops.shape(inputs)
        rows = ops.reshape(inputs, (batch * hypotheses, num_new, width))
        outputs, cache, weights = self._go_on(rows, position, cache, keep)
        outputs = ops.reshape(outputs, (batch, hypotheses, num_new, -1))
        length = ops.shape(weights)[-1]
        weights = ops.reshape(weights, (batch, hypotheses, self.num_heads, num_new, length))
        return outputs, cache, ops.swapaxes(weights, 1, 2)

    def rewind(self, cache: dict[str, Tensor], num_dropped: Tensor) -> dict[str, Tensor]:
        """The cache as it was before its last places came.

        Args:
            cache: leaves `[B, K, Hkv, t, ...]`.
            num_dropped: how many places are taken back, 0 to t, a whole number or scalar tensor.

        Returns:
            The cache with leaves `[B, K, Hkv, t - num_dropped, ...]`.
        """
        return {name: leaf[:, :, :, : ops.shape(leaf)[3] - num_dropped] for name, leaf in cache.items()}

    def _go_on(self, rows, position, cache, keep):
        """`[B K, n, D]` to outputs `[B K, n, D]`, the new cache, and weights `[B K, H, n, t + n]`."""
        num_new = ops.shape(rows)[1]
        position = ops.cast(position, "int32")
        positions = ops.arange(num_new, dtype="int32") + position
        queries, keys, values = self._project(rows, rows, rows, positions, positions)
        cache = {"keys": _append(cache["keys"], keys), "values": _append(cache["values"], values)}
        batch, hypotheses, _, length, _ = ops.shape(cache["keys"])
        key_positions = ops.arange(length, dtype="int32") + (position + num_new - length)
        if keep is not None:
            keep = ops.broadcast_to(ops.cast(keep, "bool"), (batch, hypotheses, length))
            keep = ops.reshape(keep, (batch * hypotheses, 1, 1, length))
        if not isinstance(num_new, int) or num_new > 1:  # a single place sees all there is
            keep = both_masks(keep, four_axes(causal_mask(num_new, length)))
        if self.window is not None:
            near = key_positions >= ops.expand_dims(positions, -1) - self.window  # [n, t + n]
            keep = both_masks(keep, four_axes(near))
        context, weights = self._attend_heads(
            queries, *map(merge_hypotheses, cache.values()), keep, positions, key_positions
        )
        seen = seen_queries(keep)
        return self._join_heads(context, seen), cache, zero_unseen(weights, seen)

    def _attend_heads(
        self, queries, keys, values, keep, query_positions=None, key_positions=None, training=False
    ):
        """The one place where weights are made and used: context `[B, H, T, Ev]`, weights `[B, H, T, S]`.

        What a query has that sees nothing is left to `zero_unseen`.
        """
        logits = grouped_dot_logits(queries, keys)
        positions = self.relative_positions
        if positions is not None:
            logits = _add(logits, positions.logits(queries, query_positions, key_positions))
        weights = softmax_of_kept(logits, keep)
        dropped = self.dropout_layer(weights, training=training)
        context = grouped_weighted_sum(dropped, values)
        if positions is not None:
            context = _add(context, positions.context(dropped, query_positions, key_positions))
        return context, weights


def _append(cache, heads):
    """`[B, K, Hkv, t, E]` and `[B K, Hkv, n, E]` to `[B, K, Hkv, t + n, E]`."""
    batch, hypotheses, num_heads, _, width = ops.shape(cache)
    heads = ops.reshape(heads, (batch, hypotheses, num_heads, ops.shape(heads)[2], width))
    return ops.concatenate([cache, heads], axis=3)


def _add(tensor, addend):
    """`addend` may be None and of another dtype; the sum has float32 where one of them does."""
    return tensor if addend is None else ops.add(tensor, addend)
