"""The path around a sublayer, with its layer normalisation and dropout (Vaswani et al. 2017)."""

from typing import Any, Self

import keras

from keras_attn.layers.output_shape import OutputShape
from keras_attn.layers.transformer.layer_normalization import LayerNormalization
from keras_attn.typing import Config, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ResidualConnection(OutputShape, keras.layers.Layer):
    """Wraps a layer: adds its input to its output, with layer normalisation and dropout in their places.

    ```
    norm_first=False   outputs = LayerNorm(inputs + dropout(sublayer(inputs)))      the paper's, "post-norm"
    norm_first=True    outputs = inputs + dropout(sublayer(LayerNorm(inputs)))      "pre-norm"
    ```

    A stack of pre-norm layers wants one more `keras.layers.LayerNormalization` after the last.

    For a sublayer that takes more than one argument, or is run step by step, use the two halves that `call`
    joins: `after(inputs, output_of_sublayer(before(inputs), ...))`. Keras has no such wrapper:
    `keras.layers.Add` and `keras.layers.LayerNormalization` (whose epsilon is 1e-3) are its parts.

    Args:
        sublayer: a layer whose output has the shape of its input.
        norm_first: normalise what enters the sublayer, instead of the sum. Default False, as in the paper.
        dropout: rate on the output of the sublayer, before the sum. Default 0; 0.1 in the paper.
        epsilon: of the normalisation. Default 1e-5.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., D]`, the only argument of `sublayer`.
        training: whether dropout is active.

    Returns:
        `[..., D]`.

    Raises:
        ValueError: for a sublayer whose output does not have the shape of its input.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.ResidualConnection(keras.layers.Dense(5), norm_first=True, dropout=0.1)
    >>> tuple(layer(keras.ops.ones((2, 3, 5))).shape)
    (2, 3, 5)

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.1 and 5.4; pre-norm:
    Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020, section 3.
    """

    def __init__(
        self,
        sublayer: keras.layers.Layer,
        *,
        norm_first: bool = False,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sublayer = sublayer
        self.norm_first = norm_first
        self.dropout = dropout
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        """Builds the normalisation, and the sublayer where that is not built yet."""
        if not self.sublayer.built:
            self.sublayer.build(inputs_shape)
        self.normalization = LayerNormalization(
            epsilon=self.epsilon, dtype=self.dtype_policy, name="normalization"
        )
        self.normalization.build(inputs_shape)
        self.output_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """See the class."""
        return self.after(inputs, self.sublayer(self.before(inputs)), training=training)

    def before(self, inputs: Tensor) -> Tensor:
        """Computes the input of the sublayer.

        Args:
            inputs: `[..., D]`.

        Returns:
            `[..., D]`: normalised with `norm_first`, unchanged without.
        """
        return self.normalization(inputs) if self.norm_first else inputs

    def after(self, inputs: Tensor, outputs: Tensor, training: bool | None = None) -> Tensor:
        """Adds the output of the sublayer to the inputs.

        Args:
            inputs: `[..., D]`, as they were before `before`.
            outputs: `[..., D]`, of the sublayer.
            training: whether dropout is active.

        Returns:
            `[..., D]`.
        """
        # A graph may not know the width of what was reshaped.
        if outputs.shape[-1] not in (None, inputs.shape[-1]) or len(outputs.shape) != len(inputs.shape):
            raise ValueError(
                f"The output of {self.sublayer} cannot be added to its input. Expected the shape of the "
                f"input, {tuple(inputs.shape)}. Received: {tuple(outputs.shape)}. "
                "Give the sublayer an output as wide as its input."
            )
        total = inputs + self.output_dropout(outputs, training=training)
        return total if self.norm_first else self.normalization(total)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Nested:
        """The shape of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "sublayer": keras.saving.serialize_keras_object(self.sublayer),
            "norm_first": self.norm_first,
            "dropout": self.dropout,
            "epsilon": self.epsilon,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the sublayer from its own configuration first."""
        sublayer = keras.saving.deserialize_keras_object(config["sublayer"])
        return cls(**{**config, "sublayer": sublayer})
