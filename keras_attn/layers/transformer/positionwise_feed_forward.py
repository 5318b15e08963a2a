"""The two dense layers of a Transformer block (Vaswani et al. 2017)."""

from typing import Any

import keras

from keras_attn.layers.output_shape import OutputShape
from keras_attn.typing import Activation, Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class PositionwiseFeedForward(OutputShape, keras.layers.Layer):
    """Two dense layers with an activation between them, the same at every place.

    ```
    outputs[t] = dropout(activation(inputs[t] W_1 + b_1)) W_2 + b_2
    ```

    The paper has no dropout inside (its dropout is on the outputs, see `ResidualConnection`); tensor2tensor,
    fairseq and `torch.nn.TransformerEncoderLayer` have it here too. Keras has no such layer: it is two
    `keras.layers.Dense`, whose second must be told the width of the inputs.

    Args:
        hidden_dim: width of the layer between; four times that of the inputs in the paper.
        activation: name or function. Default `"relu"`.
        dropout: rate on the activations between the two. Default 0.
        kernel_initializer: of W_1 and W_2. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., D]`.
        training: whether dropout is active.

    Returns:
        `[..., D]`.

    Raises:
        ValueError: for a `hidden_dim` below 1.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.PositionwiseFeedForward(hidden_dim=11)
    >>> tuple(layer(keras.ops.ones((2, 3, 5))).shape)
    (2, 3, 5)

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.3, equation 2.
    """

    def __init__(
        self,
        hidden_dim: int,
        activation: Activation = "relu",
        *,
        dropout: float = 0.0,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(hidden_dim, int) or hidden_dim < 1:
            raise ValueError(
                f"`hidden_dim` must be a whole number of at least 1. Received: hidden_dim={hidden_dim!r}."
            )
        self.hidden_dim = hidden_dim
        self.activation = keras.activations.get(activation)
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        """Makes W_1, b_1, W_2, b_2."""
        self.hidden = self._dense(self.hidden_dim, self.activation, "hidden")
        self.hidden.build(inputs_shape)
        self.hidden_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.output_projection = self._dense(inputs_shape[-1], None, "output")
        self.output_projection.build((*inputs_shape[:-1], self.hidden_dim))
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """See the class."""
        hidden = self.hidden_dropout(self.hidden(inputs), training=training)
        return self.output_projection(hidden)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Nested:
        """The shape of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def _dense(self, units, activation, name):
        return keras.layers.Dense(
            units,
            activation=activation,
            # A clone each: an initializer draws its seed once, and would fill both with the same numbers.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
