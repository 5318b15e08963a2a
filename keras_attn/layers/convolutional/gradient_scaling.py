"""The identity, with a gradient of another size (Gehring et al. 2017)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.output_shape import OutputShape
from keras_attn.typing import Config, Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GradientScaling(OutputShape, keras.layers.Layer):
    """Passes its input on and multiplies the gradient that comes back.

    ```
    y = x        ∂L/∂x = factor ∂L/∂y
    ```

    For a part of a model that gets gradients from many places, as an encoder does from every layer of a
    decoder that attends to it. Keras has none; `factor * x + stop_gradient((1 - factor) * x)` rounds.

    Args:
        factor: what the gradient is multiplied by.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: a tensor of any shape.

    Returns:
        The same numbers.

    Example:

    >>> import keras, keras_attn
    >>> keras.ops.convert_to_numpy(keras_attn.layers.GradientScaling(0.1)(keras.ops.ones(3))).tolist()
    [1.0, 1.0, 1.0]

    Reference: Gehring et al., "Convolutional Sequence to Sequence Learning", ICML 2017, section 3.4.
    """

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""

        @ops.custom_gradient
        def identity(tensor):
            def gradient(*arguments, upstream=None):
                upstream = arguments[0] if upstream is None else upstream
                return upstream * ops.cast(self.factor, upstream.dtype)

            return ops.copy(tensor), gradient

        return identity(inputs)

    def compute_output_spec(self, inputs: Tensor) -> Nested:
        """The shape of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "factor": self.factor}
