"""A recurrent cell with a path around it (Wu et al. 2016)."""

from typing import Any, Self

import keras
from keras import ops

from keras_attn.typing import Config, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ResidualCell(keras.layers.Layer):
    """Adds the input of a recurrent cell to its output; the states are the cell's own.

    ```
    h_t, s_t = cell(x_t, s_{t-1})
    y_t      = h_t + x_t
    ```

    For the upper cells of a `keras.layers.StackedRNNCells`, so that deep stacks train. Keras has the sum for
    whole sequences only (`keras.layers.Add`), which a decoder that goes step by step cannot use.

    Args:
        cell: a Keras RNN cell whose output is as wide as its input.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, H]`.
        states: those of the cell.
        training: passed on to the cell.

    Returns:
        `[B, H]` and the new states of the cell.

    Raises:
        ValueError: when built for inputs of another width than the output.

    Example:

    >>> import keras
    >>> from keras_attn.layers.recurrent.residual_cell import ResidualCell
    >>> upper = ResidualCell(keras.layers.LSTMCell(5))
    >>> stack = keras.layers.StackedRNNCells([keras.layers.LSTMCell(5), upper])
    >>> tuple(keras.layers.RNN(stack)(keras.ops.ones((2, 7, 3))).shape)
    (2, 5)

    Reference: Wu et al., "Google's Neural Machine Translation System", 2016, section 3.1, equation 6.
    """

    def __init__(self, cell: keras.layers.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell = cell

    @property
    def state_size(self) -> Nested:
        """That of the cell."""
        return self.cell.state_size

    @property
    def output_size(self) -> Nested:
        """That of the cell."""
        return getattr(self.cell, "output_size", None) or keras.tree.flatten(self.cell.state_size)[0]

    @property
    def dropout(self) -> Tensor:
        """That of the cell, for those who ask whether there is any."""
        return getattr(self.cell, "dropout", 0) or getattr(self.cell, "recurrent_dropout", 0)

    def build(self, inputs_shape: Shape) -> None:
        """Builds the cell."""
        if inputs_shape[-1] != self.output_size:
            raise ValueError(
                f"Layer {self.name!r} cannot add its input to its output. Expected inputs of width "
                f"{self.output_size}. Received: width {inputs_shape[-1]}. "
                "Leave the lowest cell of a stack without a residual connection."
            )
        if not self.cell.built:
            self.cell.build(inputs_shape)
        self.built = True

    def call(self, inputs: Tensor, states: Nested, training: bool | None = None) -> tuple[Tensor, Nested]:
        """See the class."""
        outputs, states = self.cell(inputs, states, training=training)
        return outputs + ops.cast(inputs, outputs.dtype), states

    def get_initial_state(self, batch_size: Tensor = None) -> Nested:
        """Those of the cell.

        Args:
            batch_size: B, an integer or a scalar tensor.

        Returns:
            The cell's states, zeros.
        """
        return self.cell.get_initial_state(batch_size=batch_size)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the cell from its own configuration first."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("cell")), **config)
