"""A convolution with a gated linear unit (Gehring et al. 2017)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.convolutional.weight_normalized_convolution import WeightNormalizedConvolution
from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.lengths import convolved
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class GatedConvolution(OutputShape, keras.layers.Layer):
    """Convolution over time to twice the width, one half of which gates the other.

    ```
    [a_t; g_t] = b + sum_i W_i dropout(x)_{t + i - left}    i = 0 .. kernel_size - 1, both halves F wide
    y_t        = a_t * sigmoid(g_t)

    left = (kernel_size - 1) // 2  for padding="same";    left = kernel_size - 1  for padding="causal"
    ```

    Masked places count as the zeros beyond the ends do, so that padding more changes nothing where there is
    something. The residual connection and its scale sqrt(1/2) are left to the model. `call` runs a whole
    sequence; with `padding="causal"`, `step` gives the same, one place at a time, from a buffer of the last
    `kernel_size - 1` inputs.

    `keras.layers.Conv1D` reads what stands at masked places, drops the mask, has no step, and starts from
    weights that are not scaled for a gate.

    Args:
        filters: F, the width of the outputs.
        kernel_size: number of places that one output sees.
        padding: `"same"` for an encoder, `"causal"` for a decoder, which sees no place after its own.
        dropout: rate on the inputs.
        kernel_initializer: of W. Default: normal with variance `4 (1 - dropout) / (kernel_size * C)`, which
            keeps the variance of activations through the gate.
        weight_normalization: whether each column of W is a learned length g times a direction, as
            `WeightNormalizedConvolution` has it. Default False.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[B, T, C]`.
        mask: boolean `[B, T]`, True = keep; None keeps all. That of the inputs where Keras carries one.
        training: whether dropout is active.

    Returns:
        `[B, T, F]`.

    Raises:
        ValueError: for sizes below 1, an unknown `padding`, a step with `padding="same"`, or, in a functional
            model, inputs whose implicit mask got lost.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.GatedConvolution(filters=7, kernel_size=3, padding="causal")
    >>> tuple(layer(keras.ops.ones((2, 5, 3))).shape)
    (2, 5, 7)

    Reference: Gehring, Auli, Grangier, Yarats, Dauphin, "Convolutional Sequence to Sequence Learning",
    ICML 2017, sections 3.2 and 3.5; the unit: Dauphin et al., "Language Modeling with Gated Convolutional
    Networks", ICML 2017, equation 1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        padding: str = "same",
        dropout: float = 0.0,
        kernel_initializer: Initializer | None = None,
        weight_normalization: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, size in {"filters": filters, "kernel_size": kernel_size}.items():
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={size!r}.")
        if padding not in ("same", "causal"):
            raise ValueError(
                f"`padding` is unknown. Expected 'same' or 'causal'. Received: padding={padding!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.padding = padding
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.weight_normalization = weight_normalization
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        """Makes W `[kernel_size, C, 2 F]`, b `[2 F]` and, where W is normalised, g `[2 F]`."""
        self.channels = inputs_shape[-1]
        convolution: Callable[..., keras.layers.Layer] = WeightNormalizedConvolution
        if not self.weight_normalization:
            convolution = partial(keras.layers.Conv1D, data_format="channels_last")
        self.convolution = convolution(
            2 * self.filters,
            self.kernel_size,
            kernel_initializer=self.kernel_initializer or self._scaled_for_a_gate(),
            dtype=self.dtype_policy,
            name="convolution",
        )
        # Of unknown length: `call` pads first, so inputs may be shorter than the kernel.
        self.convolution.build((None, None, inputs_shape[-1]))
        self.input_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.built = True

    def call(self, inputs: Tensor, mask: Tensor = None, training: bool | None = None) -> Tensor:
        """See the class."""
        if mask is not None:
            keep = ops.expand_dims(ops.cast(mask, "bool"), -1)  # [B, T, 1]
            inputs = ops.where(keep, inputs, ops.zeros_like(inputs))
        inputs = self.input_dropout(inputs, training=training)
        beyond = self.kernel_size - 1
        left = beyond if self.padding == "causal" else beyond // 2
        inputs = ops.pad(inputs, ((0, 0), (left, beyond - left), (0, 0)))  # [B, T + kernel_size - 1, C]
        return _gate(convolved(self.convolution, inputs, self.kernel_size))

    def empty_buffer(self, batch_size: Tensor, num_hypotheses: int = 1) -> Tensor:
        """The inputs before the first: zeros.

        Args:
            batch_size: B, an integer or a scalar tensor.
            num_hypotheses: K.

        Returns:
            `[B, K, kernel_size - 1, C]`.
        """
        shape = (batch_size, num_hypotheses, self.kernel_size - 1, self.channels)
        return ops.zeros(shape, self.compute_dtype)

    def step(self, inputs: Tensor, buffer: Tensor) -> tuple[Tensor, Tensor]:
        """One decoding step of K hypotheses a row.

        Args:
            inputs: `[B, K, C]`.
            buffer: the inputs of the `kernel_size - 1` steps before, `[B, K, kernel_size - 1, C]`.

        Returns:
            outputs `[B, K, F]` and the new buffer.
        """
        if self.padding != "causal":
            raise ValueError(
                f"Layer {self.name!r} cannot run step by step, for its outputs depend on later inputs. "
                f"Expected padding='causal'. Received: padding={self.padding!r}."
            )
        beams = ops.shape(inputs)[1]
        inputs = ops.expand_dims(ops.cast(inputs, buffer.dtype), 2)  # [B, K, 1, C]
        window = ops.concatenate([buffer, inputs], axis=2)  # [B, K, kernel_size, C]
        # A loop may have forgotten the sizes that the buffer had.
        windows = ops.reshape(window, (-1, self.kernel_size, self.channels))
        outputs = self.convolution(windows)  # [B K, 1, 2 F]
        outputs = ops.reshape(outputs, (-1, beams, 2 * self.filters))  # [B, K, 2 F]
        return _gate(outputs), window[:, :, 1:]

    def compute_output_spec(
        self, inputs: Tensor, mask: Tensor = None, training: bool | None = None
    ) -> Nested:
        """The shape of the inputs with F for C."""
        # Padding comes at the end, where causal outputs that are not padding do not see it.
        if mask is None and self.padding == "same":
            require_mask(inputs, "mask", self)
        return keras.KerasTensor((*inputs.shape[:-1], self.filters), dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        initializer = self.kernel_initializer
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "dropout": self.dropout,
            "kernel_initializer": initializer and keras.initializers.serialize(initializer),
            "weight_normalization": self.weight_normalization,
        }

    def _scaled_for_a_gate(self):
        return keras.initializers.VarianceScaling(4.0 * (1.0 - self.dropout), "fan_in", "untruncated_normal")


def _gate(hidden):
    """`[..., 2 F]` to `[..., F]`."""
    values, gates = ops.split(hidden, 2, axis=-1)
    return values * ops.sigmoid(gates)
