"""Projections of `MultiHeadAttention` into heads, and its implementations."""

import math
from typing import Any, Self

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_sequences
from keras_attn.checks.sizes import check_count
from keras_attn.layers.embedding.relative_positions import RelativePositions, serialized_positions
from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.heads import split_heads, zero_unseen
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor

IMPLEMENTATIONS = ("full", "blockwise", "windowed")


def check_options(implementation: str, dropout: float = 0.0, window: int | None = None) -> None:
    """Refuses options of a constructor that do not go together; arguments as of `MultiHeadAttention`."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` is unknown. Expected one of {IMPLEMENTATIONS}. "
            f"Received: implementation={implementation!r}."
        )
    if implementation == "windowed":
        check_count("window", window)
    elif window is not None:
        raise ValueError(
            "`window` is for windowed attention alone. Expected None with "
            f"implementation={implementation!r}. Received: window={window!r}. Give implementation='windowed'."
        )
    if implementation == "blockwise" and dropout:
        raise ValueError(
            "Blockwise attention keeps no weights that could be dropped. Expected dropout=0. "
            f"Received: dropout={dropout}. Drop the layer's output, or use implementation='full'."
        )


def check_call(implementation: str, return_attention_scores: bool = False) -> None:
    """Refuses a call that would need all weights at once."""
    if implementation == "full":
        return
    if return_attention_scores:
        raise ValueError(
            f"The weights never exist as a whole in {implementation} attention. Expected "
            "return_attention_scores=False. Received: return_attention_scores=True. "
            "Use implementation='full' to see them."
        )


class AttentionHeads(OutputShape, keras.layers.Layer):
    """The settings of `MultiHeadAttention`, described there, and the projections around the attention."""

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        *,
        num_key_value_heads: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | None = None,
        relative_positions: RelativePositions | None = None,
        implementation: str = "full",
        block_size: int = 512,
        window: int | None = None,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
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
        check_options(implementation, dropout, window)

    def build(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> None:
        """Makes the projections, the dropout and the weights of the relative positions."""
        key_shape = key_shape or value_shape
        check_sequences(query=query_shape, value=value_shape, key=key_shape)
        batch, num_queries, query_dim = query_shape
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

    def project_memory(self, value: Tensor, key: Tensor = None) -> Nested:
        """Projects keys and values into heads, which depend on no query: a decoder does it once.

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

    def get_config(self) -> Config:
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
            "relative_positions": serialized_positions(self.relative_positions),
            "implementation": self.implementation,
            "block_size": self.block_size,
            "window": self.window,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
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

    def _join_heads(self, context, seen):
        """`[B, H, T, Ev]` to the output `[B, T, D]`, zeros where `seen` `[B, H, T, 1]` is False."""
        batch, num_heads, num_queries, width = ops.shape(context)
        # Before the projection as well: a head that sees nothing adds nothing, and no gradient reaches it.
        context = ops.swapaxes(zero_unseen(context, seen), 1, 2)
        output = self.output_projection(ops.reshape(context, (batch, num_queries, num_heads * width)))
        return zero_unseen(output, None if seen is None else ops.any(seen, axis=1))  # [B, T, 1]

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
                "`relative_positions` must be None or a scheme of keras_attn.layers, e.g. "
                f"RotaryPositions(). Received: relative_positions={positions!r}."
            )
