"""A convolution whose weights are lengths times directions (Salimans and Kingma 2016)."""

from functools import partial
from typing import Any

import keras
from keras import ops

from keras_attn.checks.sizes import check_count
from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.lengths import convolved
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class WeightNormalizedConvolution(OutputShape, keras.layers.Layer):
    """Convolution over time that learns the length of every filter apart from its direction.

    ```
    W_f    = g_f v_f / ‖v_f‖                             over all kernel_size * C numbers of filter f
    y_t,f  = b_f + sum_i W_i,f · x_{t + i}               i = 0 .. kernel_size - 1
    ```

    g begins as ‖v‖, so the layer begins as the convolution with v itself. With `kernel_size=1` it is a dense
    layer over the last axis. Keras has no weight normalisation, and `keras.layers.Conv1D` is this layer
    without g; `torch.nn.utils.parametrizations.weight_norm` computes the same.

    Args:
        filters: F, the width of the outputs.
        kernel_size: number of places that one output sees. Default 1.
        kernel_initializer: of v. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, T, C]`.

    Returns:
        `[B, T - kernel_size + 1, F]`.

    Raises:
        ValueError: for sizes below 1.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.WeightNormalizedConvolution(filters=7, kernel_size=3)
    >>> tuple(layer(keras.ops.ones((2, 5, 3))).shape)
    (2, 3, 7)

    Reference: Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of
    Deep Neural Networks", NeurIPS 2016, equation 2.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 1,
        *,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("filters", filters)
        check_count("kernel_size", kernel_size)
        self.filters = filters
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, inputs_shape: Shape) -> None:
        """Makes v `[kernel_size, C, F]`, b `[F]` and g `[F]`."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, inputs_shape[-1], self.filters),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        self.gain = self.add_weight(
            name="gain",
            shape=(self.filters,),
            initializer=lambda shape, dtype: ops.cast(_length(self.kernel), dtype),
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """See the class."""
        scale = ops.cast(self.gain, "float32") / _length(self.kernel)
        kernel = ops.cast(ops.cast(self.kernel, "float32") * scale, self.compute_dtype)
        convolve = partial(ops.conv, kernel=kernel, padding="valid", data_format="channels_last")
        return convolved(convolve, inputs, self.kernel_size) + ops.cast(self.bias, self.compute_dtype)

    def compute_output_spec(self, inputs: Tensor) -> Nested:
        """The shape of the inputs with F for C, `kernel_size - 1` places shorter."""
        batch, length, _ = inputs.shape
        length = None if length is None else length - self.kernel_size + 1
        return keras.KerasTensor((batch, length, self.filters), dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "kernel_initializer": initializer}
        return {**super().get_config(), **own}


def _length(kernel):
    """‖v‖ of every filter, float32 `[F]`: float16 cannot hold the squares of small numbers."""
    squares = ops.square(ops.cast(ops.convert_to_tensor(kernel), "float32"))
    # Above 0, where the root has a gradient.
    return ops.sqrt(ops.maximum(ops.sum(squares, axis=(0, 1)), 1e-24))
