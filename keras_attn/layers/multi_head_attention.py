"""Scaled dot-product attention of several heads (Vaswani et al. 2017)."""

import math
from functools import partial

import keras
from keras import ops

from keras_attn.blockwise import blockwise_attention
from keras_attn.heads import (
    aligned_positions,
    append_step,
    both_masks,
    keep_of_heads,
    merge_hypotheses,
    split_heads,
)
from keras_attn.implementations import check_call, check_options
from keras_attn.relative_positions import RelativePositions
from keras_attn.scores import grouped_dot_logits, grouped_weighted_sum, masked_softmax
from keras_attn.shapes import check_count
from keras_attn.windowed import windowed_attention


@keras.saving.register_keras_serializable(package="keras_attn")
class MultiHeadAttention(keras.layers.Layer):
    """Scaled dot-product attention, several times side by side, each over projections of its own.

    For every head h, with g the head of keys and values that it uses:

    ```
    logits[h, t, s]  = (W_q query[t] + b_q)_h · (W_k key[s] + b_k)_g / sqrt(E)
    weights[h, t, :] = softmax over the s that the masks keep
    context[h, t]    = sum_s weights[h, t, s] (W_v value[s] + b_v)_g
    output[t]        = W_o [context[1, t]; ...; context[H, t]] + b_o
    ```

    A query with nothing to see has weights 0 and a context of 0, so that its output is b_o.

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
        relative_positions: one of the schemes of `keras_attn.relative_positions`, or None. Query t stands at
            position t + S - T, key s at position s.
        implementation: `"full"`; `"blockwise"`: the same numbers in memory that grows with T + S, without
            dropout and learned relative positions; `"windowed"`: each query sees the keys at most `window`
            positions before and after it, in memory that grows with T x window. The last two return no
            weights and take no `attention_mask`.
        block_size: number of keys in a block of `"blockwise"`.
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
        ValueError: for arguments that do not go together.

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

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        num_key_value_heads=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        relative_positions=None,
        implementation="full",
        block_size=128,
        window=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = key_dim if value_dim is None else value_dim
        self.num_key_value_heads = num_heads if num_key_value_heads is None else num_key_value_heads
        self.dropout = dropout
        self.use_bias = use_bias
        self.output_dim = output_shape  # Keras' summary takes `output_shape` for something else
        self.relative_positions = relative_positions
        self.implementation = implementation
        self.block_size = block_size
        self.window = window
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.supports_masking = True
        self._check_sizes()
        check_options(implementation, dropout, relative_positions, window)

    def build(self, query_shape, value_shape, key_shape=None):
        """Makes the projections, the dropout and the weights of the relative positions."""
        batch, num_queries, query_dim = query_shape
        key_shape = key_shape or value_shape
        key_heads = self.num_key_value_heads
        self.query_projection = self._projection("query", self.num_heads * self.key_dim, query_shape)
        self.key_projection = self._projection("key", key_heads * self.key_dim, key_shape)
        self.value_projection = self._projection("value", key_heads * self.value_dim, value_shape)
        context_shape = (batch, num_queries, self.num_heads * self.value_dim)
        self.output_projection = self._projection("output", self.output_dim or query_dim, context_shape)
        self.dropout_layer = keras.layers.Dropout(self.dropout, seed=self.seed, dtype="float32")
        if self.relative_positions is not None and not self.relative_positions.built:
            self.relative_positions.build(
                (batch, self.num_heads, num_queries, self.key_dim),
                (batch, key_heads, value_shape[1], self.value_dim),
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
        check_call(self.implementation, attention_mask, return_attention_scores)
        key = value if key is None else key
        positions = aligned_positions(ops.shape(query)[1], ops.shape(key)[1])
        heads = self._project(query, key, value, *positions)
        if self.implementation != "full":
            key_mask = both_masks(value_mask, key_mask)
            context = self._attend_in_parts(heads, key_mask, use_causal_mask, training)
            if query_mask is not None:
                context = ops.where(ops.cast(query_mask, "bool")[:, None, :, None], context, 0)
            return self._join_heads(context)
        keep = keep_of_heads(query, key, query_mask, value_mask, key_mask, attention_mask, use_causal_mask)
        context, weights = self._attend_heads(*heads, keep, *positions, training)
        output = self._join_heads(context)
        return (output, weights) if return_attention_scores else output

    def project_memory(self, value, key=None):
        """Keys and values of every head: what does not depend on the query, for a decoder to compute once.

        Args:
            value: `[B, S, Dv]`.
            key: `[B, S, Dk]`; `value` when None.

        Returns:
            A dictionary of `"keys"` `[B, Hkv, S, E]` and `"values"` `[B, Hkv, S, Ev]`.
        """
        key = value if key is None else key
        return {
            "keys": split_heads(self.key_projection(key), self.num_key_value_heads),
            "values": split_heads(self.value_projection(value), self.num_key_value_heads),
        }

    def attend(self, query, memory, keep=None):
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
        keep = None if keep is None else ops.expand_dims(keep, -3)
        context, weights = self._attend_heads(queries, memory["keys"], memory["values"], keep)
        return self._join_heads(context), weights

    def empty_cache(self, batch_size, num_hypotheses):
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

    def step(self, inputs, position, cache):
        """One step of causal self-attention of K hypotheses a row, each with a past of its own; no dropout.

        Args:
            inputs: `[B, K, D]`.
            position: of the inputs in their sequence, a whole number or scalar tensor; t when the cache
                began empty.
            cache: what `empty_cache` or the step before returned, leaves `[B, K, Hkv, t, ...]`.

        Returns:
            outputs `[B, K, D]`, the new cache with leaves `[B, K, Hkv, t + 1, ...]` and the float32 weights
            `[B, H, K, t + 1]`.
        """
        batch, hypotheses, width = ops.shape(inputs)
        rows = ops.reshape(inputs, (batch * hypotheses, 1, width))
        position = ops.reshape(ops.cast(position, "int32"), (1,))
        queries, keys, values = self._project(rows, rows, rows, position, position)
        cache = {
            "keys": append_step(cache["keys"], keys),
            "values": append_step(cache["values"], values),
        }
        length = ops.shape(cache["keys"])[3]
        key_positions = ops.arange(length) + (position - length + 1)
        keep = None if self.window is None else key_positions >= position - self.window
        context, weights = self._attend_heads(
            queries, *map(merge_hypotheses, cache.values()), keep, position, key_positions
        )
        outputs = ops.reshape(self._join_heads(context), (batch, hypotheses, -1))
        weights = ops.reshape(weights, (batch, hypotheses, self.num_heads, length))
        return outputs, cache, ops.swapaxes(weights, 1, 2)

    def compute_output_spec(
        self, query, value, *args, attention_mask=None, return_attention_scores=False, **kwargs
    ):
        """Shapes of the output and, if asked for, of the weights."""
        check_call(self.implementation, attention_mask, return_attention_scores)
        shape = (*query.shape[:2], self.output_dim or query.shape[-1])
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = (query.shape[0], self.num_heads, query.shape[1], value.shape[1])
        return output, keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_key_value_heads": self.num_key_value_heads,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self.output_dim,
            "relative_positions": keras.saving.serialize_keras_object(self.relative_positions),
            "implementation": self.implementation,
            "block_size": self.block_size,
            "window": self.window,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        """Makes the relative positions from their own configuration first."""
        relative_positions = keras.saving.deserialize_keras_object(config["relative_positions"])
        return cls(**{**config, "relative_positions": relative_positions})

    def _project(self, query, key, value, query_positions, key_positions):
        """Queries, keys and values of every head, turned by their positions where the scheme does so."""
        memory = self.project_memory(value, key)
        queries, keys = self._project_query(query), memory["keys"]
        if self.relative_positions is not None:
            queries = self.relative_positions.rotate(queries, query_positions)
            keys = self.relative_positions.rotate(keys, key_positions)
        return queries, keys, memory["values"]

    def _project_query(self, query):
        # Scaled before the product, which float16 may not hold otherwise.
        return split_heads(self.query_projection(query) / math.sqrt(self.key_dim), self.num_heads)

    def _attend_heads(
        self, queries, keys, values, keep, query_positions=None, key_positions=None, training=False
    ):
        """The one place where weights are made and used: context `[B, H, T, Ev]`, weights `[B, H, T, S]`."""
        logits = grouped_dot_logits(queries, keys)
        positions = self.relative_positions
        if positions is not None:
            logits = _add(logits, positions.logits(queries, query_positions, key_positions))
        weights = masked_softmax(logits, keep)
        dropped = self.dropout_layer(weights, training=training)
        context = grouped_weighted_sum(dropped, values)
        if positions is not None:
            context = _add(context, positions.context(dropped, query_positions, key_positions))
        return context, weights

    def _attend_in_parts(self, heads, key_mask, use_causal_mask, training):
        """The context without a `[T, S]` tensor."""
        if self.implementation == "blockwise":
            positions = self.relative_positions
            bias = None if positions is None else partial(positions.logits, None)
            return blockwise_attention(*heads, key_mask, use_causal_mask, bias, self.block_size)

        def attend(*arguments):
            return self._attend_heads(*arguments, training)[0]

        return windowed_attention(attend, *heads, self.window, key_mask, use_causal_mask)

    def _join_heads(self, context):
        """`[B, H, T, Ev]` to the output `[B, T, D]`."""
        batch, num_heads, num_queries, width = ops.shape(context)
        context = ops.reshape(ops.swapaxes(context, 1, 2), (batch, num_queries, num_heads * width))
        return self.output_projection(context)

    def _projection(self, name, units, input_shape):
        projection = keras.layers.Dense(
            units,
            use_bias=self.use_bias,
            # A clone each: an initializer draws its seed once, and would fill all with the same numbers.
            kernel_initializer=self.kernel_initializer.clone(),
            bias_initializer=self.bias_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
        projection.build(input_shape)
        return projection

    def _check_sizes(self):
        for name in ("num_heads", "key_dim", "value_dim", "num_key_value_heads", "block_size"):
            check_count(name, getattr(self, name))
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                "`num_key_value_heads` must share out the heads of queries evenly. Expected a divisor of "
                f"num_heads={self.num_heads}. Received: num_key_value_heads={self.num_key_value_heads}."
            )
        if self.output_dim is not None:
            check_count("output_shape", self.output_dim)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"`dropout` must be a rate. Expected 0 <= dropout < 1. Received: dropout={self.dropout!r}."
            )
        positions = self.relative_positions
        if not (positions is None or isinstance(positions, RelativePositions)):
            raise ValueError(
                "`relative_positions` must be None or a scheme of keras_attn.relative_positions, e.g. "
                f"RotaryPositions(). Received: relative_positions={positions!r}."
            )


def _add(tensor, addend):
    """`addend` may be None and of another dtype; the sum has float32 where one of them does."""
    return tensor if addend is None else ops.add(tensor, addend)
