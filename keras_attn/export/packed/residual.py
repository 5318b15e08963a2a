"""Residual connections of a packed Transformer: gain and offset of a normalisation are left to products."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_attn.export.packed.products import StoredOnce


class Affine(NamedTuple):
    """Factor and term that rows of the graph lack: the model's own rows are `rows * gain + offset`.

    Attributes:
        gain: array `[D]`.
        offset: array `[D]`.
        mean: of every row of the graph, where they all have the same one that is not 0; else None.
    """

    gain: Any
    offset: Any
    mean: float | None = None

    def folded(self, kernel, bias):
        """The weights of a product that reads such rows: kernel `[D, N]` and bias `[N]`.

        With a `mean` the bias is 0: as every row sums to D times the mean, what is added to a whole column of
        the kernel is added to the result.
        """
        kernel, bias = kernel * self.gain[:, None], bias + self.offset @ kernel
        if self.mean is None:
            return kernel, bias
        return kernel + bias / (len(kernel) * self.mean), np.zeros_like(bias)

    def applied(self, rows):
        """The model's own rows, `[..., D]`."""
        return rows * self.gain + self.offset


def nothing(width):
    """The `Affine` of rows that lack nothing."""
    return Affine(np.ones(width, "float32"), np.zeros(width, "float32"))


class PackedNorm:
    """Layer normalisation without gain and offset: rows of variance 1 and mean 0, or `products.row_mean`.

    Args:
        normalization: a built `keras.layers.LayerNormalization`.
        is_centred: whether the mean of every row is 0 already.
        products: the `Products` of the model.

    Attributes:
        lacking: the `Affine` that its results lack.
    """

    def __init__(self, normalization, is_centred, products):
        self._epsilon, self._is_centred = normalization.epsilon, is_centred
        gain, offset = normalization.gamma.numpy(), normalization.beta.numpy()
        self._mean = products.row_mean
        self.lacking = Affine(gain, offset - (self._mean or 0.0) * gain, self._mean)

    def __call__(self, rows):
        """`[R, D]`, float32."""
        rows = rows if self._is_centred else centred(rows)
        variance = tf.reduce_mean(tf.square(rows), axis=-1, keepdims=True)
        rows *= tf.math.rsqrt(variance + self._epsilon)
        return rows if self._mean is None else rows + self._mean


class PackedResidual:
    """`x + f(n(x))` with `norm_first`, `n(x + f(x))` without; `x` stays float32.

    n is a layer normalisation without gain and offset. Without `norm_first` the rows lack those of the
    normalisation before; the offset comes back with the bias of f, and the gain here. With `norm_first` the
    last weights of every f give rows of mean 0, so that a row that enters with mean 0 has it all along and no
    normalisation takes it off; nobody misses it, as every reader of x normalises.

    Args:
        residual: a built `ResidualConnection`.
        entering: the `Affine` that its rows lack.
        products: the `Products` of the model.

    Attributes:
        leaving: the `Affine` that its results lack.
    """

    def __init__(self, residual, entering, products):
        self.norm_first = residual.norm_first
        self.norm = PackedNorm(residual.normalization, self.norm_first, products)
        self.leaving = entering if self.norm_first else self.norm.lacking
        self._read = self.norm.lacking if self.norm_first else entering
        self._offset = entering.offset
        self._gain = None if np.all(entering.gain == 1) else StoredOnce(entering.gain, "float32")

    def first(self, kernel, bias):
        """The weights that f begins with, kernel `[D, N]` and bias `[N]`."""
        return self._read.folded(kernel, bias)

    def last(self, layer):
        """The weights that f ends with, those of a built `keras.layers.Dense` of D units."""
        kernel, bias = weights_of(layer)
        if self.norm_first:
            return centred(kernel), centred(bias)
        return kernel, bias + self._offset

    def before(self, rows):
        """Input of f."""
        return self.norm(rows) if self.norm_first else rows

    def after(self, rows, outputs):
        """Output of the connection; `rows` as they were before `before`."""
        rows = rows if self._gain is None else rows * self._gain()
        total = tf.cast(outputs, tf.float32) + rows
        return total if self.norm_first else self.norm(total)


def weights_of(layer, scale=1.0):
    """Kernel `[D, N]` and bias `[N]` of a built `keras.layers.Dense`, times `scale`; without a bias, 0."""
    kernel = layer.kernel.numpy() * scale
    bias = np.zeros(kernel.shape[1], "float32") if layer.bias is None else layer.bias.numpy() * scale
    return kernel, bias


def centred(rows):
    """`[..., D]` with mean 0; an array or a tensor."""
    mean = np.mean if isinstance(rows, np.ndarray) else tf.reduce_mean
    return rows - mean(rows, axis=-1, keepdims=True)
