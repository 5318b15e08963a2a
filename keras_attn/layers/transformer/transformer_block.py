"""Base class of the blocks of encoder and decoder."""

from typing import Any, Self

import keras

from keras_attn.layers.attention.multi_head_attention import MultiHeadAttention
from keras_attn.layers.embedding.relative_positions import RelativePositions, serialized_positions
from keras_attn.layers.output_shape import OutputShape
from keras_attn.layers.transformer.positionwise_feed_forward import PositionwiseFeedForward
from keras_attn.layers.transformer.residual_connection import ResidualConnection
from keras_attn.typing import Activation, Config


class TransformerBlock(OutputShape, keras.layers.Layer):
    """The settings of a block, and how it makes its sublayers; see the two blocks for the arguments."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        *,
        key_dim: int | None = None,
        activation: Activation = "relu",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
        norm_first: bool = False,
        epsilon: float = 1e-5,
        num_key_value_heads: int | None = None,
        relative_positions: RelativePositions | None = None,
        implementation: str = "full",
        window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, size in {"num_heads": num_heads, "hidden_dim": hidden_dim, "key_dim": key_dim}.items():
            absent = name == "key_dim" and size is None
            if not absent and (not isinstance(size, int) or size < 1):
                raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={size!r}.")
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.key_dim = key_dim
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation_dropout = activation_dropout
        self.norm_first = norm_first
        self.epsilon = epsilon
        self.num_key_value_heads = num_key_value_heads
        self.relative_positions = relative_positions
        self.implementation = implementation
        self.window = window
        self.supports_masking = True

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        as_they_are = (
            "num_heads",
            "hidden_dim",
            "key_dim",
            "dropout",
            "attention_dropout",
            "activation_dropout",
            "norm_first",
            "epsilon",
            "num_key_value_heads",
            "implementation",
            "window",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in as_they_are},
            "activation": keras.activations.serialize(self.activation),
            "relative_positions": serialized_positions(self.relative_positions),
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the relative positions from their own configuration first."""
        relative_positions = keras.saving.deserialize_keras_object(config["relative_positions"])
        return cls(**{**config, "relative_positions": relative_positions})

    def _attention(self, name, query_shape, value_shape, **settings):
        """Attention between the two, built, with its residual connection."""
        attention = MultiHeadAttention(
            self.num_heads,
            self._width_of_a_head(query_shape[-1]),
            num_key_value_heads=self.num_key_value_heads,
            dropout=self.attention_dropout,
            dtype=self.dtype_policy,
            name=name,
            **settings,
        )
        attention.build(query_shape, value_shape)
        return self._residual(attention, query_shape)

    def _self_attention(self, inputs_shape):
        return self._attention(
            "self_attention",
            inputs_shape,
            inputs_shape,
            relative_positions=self.relative_positions,
            implementation=self.implementation,
            window=self.window,
        )

    def _feed_forward(self, inputs_shape):
        feed_forward = PositionwiseFeedForward(
            self.hidden_dim,
            self.activation,
            dropout=self.activation_dropout,
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        return self._residual(feed_forward, inputs_shape)

    def _residual(self, sublayer, inputs_shape):
        residual = ResidualConnection(
            sublayer,
            norm_first=self.norm_first,
            dropout=self.dropout,
            epsilon=self.epsilon,
            dtype=self.dtype_policy,
            name=f"{sublayer.name}_residual",
        )
        residual.build(inputs_shape)
        return residual

    def _width_of_a_head(self, width):
        if self.key_dim is not None:
            return self.key_dim
        if width % self.num_heads:
            raise ValueError(
                "The width of the inputs cannot be shared out among the heads. Expected a multiple of "
                f"num_heads={self.num_heads}. Received: width {width}. Choose another `num_heads`, or say "
                "how wide a head is with `key_dim`."
            )
        return width // self.num_heads
