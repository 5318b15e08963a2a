"""Layer normalisation whose gradient is written out (Ba, Kiros and Hinton 2016)."""

import keras
from keras import ops

from keras_attn.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization`, in half the time where it is trained with TensorFlow on a CPU.

    ```
    n       = (x - mean(x)) / sqrt(var(x) + epsilon)
    outputs = gamma n + beta
    dx      = (d gamma - mean(d gamma) - n mean(d gamma n)) / sqrt(var(x) + epsilon)
    ```

    with d the gradient of the outputs. Keras' own is a chain of small operations, each with gradients of its
    own. It is still what runs without `training`, over other axes than the last one, and without gain or
    bias. Computes in float32 at least, as Keras does.

    Args:
        **kwargs: as of `keras.layers.LayerNormalization`.

    Call arguments:
        inputs: `[..., D]`.
        training: whether a gradient will be asked for.

    Returns:
        `[..., D]`.

    Example:

    >>> import keras
    >>> from keras_attn.layers.transformer.layer_normalization import LayerNormalization
    >>> layer = LayerNormalization(epsilon=1e-5)
    >>> keras.ops.convert_to_numpy(layer(keras.ops.array([[1.0, 3.0]]), training=True)).round(2).tolist()
    [[-1.0, 1.0]]

    Reference: Ba, Kiros, Hinton, "Layer Normalization", 2016, equation 4.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """See the class."""
        last = self.axis in ([-1], [len(inputs.shape) - 1])
        if not training or not last or self.gamma is None or self.beta is None:
            return super().call(inputs)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        # Copies, for TensorFlow has no written-out gradient of what takes a variable.
        gamma, beta = (ops.cast(ops.copy(weight), dtype) for weight in (self.gamma, self.beta))
        rows = ops.reshape(ops.cast(inputs, dtype), (-1, inputs.shape[-1]))  # [N, D]
        outputs = _normalize(rows, gamma, beta, self.epsilon)
        return ops.cast(ops.reshape(outputs, ops.shape(inputs)), self.compute_dtype)


def _normalize(rows, gamma, beta, epsilon):
    """Rows `[N, D]` with gain and bias `[D]`; sums are matrix products, which the CPU does fastest."""
    num_rows, width = ops.shape(rows)

    def mean(rows, weights):
        return ops.matmul(rows, ops.expand_dims(weights, -1)) / width  # [N, 1]

    @ops.custom_gradient
    def normalize(rows, gamma, beta):
        ones = ops.ones_like(gamma)
        centred = rows - mean(rows, ones)
        inverse = ops.rsqrt(mean(ops.square(centred), ones) + epsilon)
        normed = centred * inverse

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            along = upstream * normed
            change = upstream * gamma - mean(upstream, gamma) - normed * mean(along, gamma)
            every_row = ops.ones((1, num_rows), dtype=rows.dtype)
            sums = (ops.matmul(every_row, x)[0] for x in (along, upstream))
            return change * inverse, *sums

        return normed * gamma + beta, gradient

    return normalize(rows, gamma, beta)
