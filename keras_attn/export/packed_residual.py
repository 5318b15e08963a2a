"""Residual connections of a packed Transformer: gain and offset of a normalisation are left to products."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_attn.export.packed_layers import PackedNorm, StoredOnce, centred


class Affine(NamedTuple):
    """What rows of the graph lack: the model's own rows are `rows * gain + offset`.

    Attributes:
        gain: array `[D]`.
        offset: array `[D]`.
    """

    gain: Any
    offset: Any

    def folded(self, kernel, bias):
        """The weights of a product that reads such rows: kernel `[D, N]` and bias `[N]`."""
        return kernel * self.gain[:, None], bias + self.offset @ kernel

    def applied(self, rows):
        """The model's own rows, `[..., D]`."""
        return rows * self.gain + self.offset


def nothing(width):
    """The `Affine` of rows that lack nothing."""
    return Affine(np.ones(width, "float32"), np.zeros(width, "float32"))


def affine_of(normalization):
    """The `Affine` that a built layer normalisation ends with."""
    return Affine(normalization.gamma.numpy(), normalization.beta.numpy())


class PackedResidual:
    """`x + f(n(x))` with `norm_first`, `n(x + f(x))` without; `x` stays float32.

    n is a layer normalisation without gain and offset. Without `norm_first` the rows lack those of the
    normalisation before; the offset comes back with the bias of f, and the gain here. With `norm_first` the
    last weights of every f give rows of mean 0, so that a row that enters with mean 0 has it all along and no
    normalisation takes it off; nobody misses it, as every reader of x normalises.

    Args:
        residual: a built `ResidualConnection`.
        entering: the `Affine` that its rows lack.

    Attributes:
        leaving: the `Affine` that its results lack.
    """

    def __init__(self, residual, entering):
        own = affine_of(residual.normalization)
        self.norm_first = residual.norm_first
        self.norm = PackedNorm(residual.normalization.epsilon, is_centred=self.norm_first)
        self.leaving = entering if self.norm_first else own
        self._read = own if self.norm_first else entering
        self._offset = entering.offset
        self._gain = None if np.all(entering.gain == 1) else StoredOnce(entering.gain, "float32")

    def first(self, kernel, bias):
        """The weights that f begins with, kernel `[D, N]` and bias `[N]`."""
        return self._read.folded(kernel, bias)

    def last(self, layer):
        """The weights that f ends with, those of a built `keras.layers.Dense` of D units."""
        kernel, bias = side_by_side([layer])
        if self.norm_first:
            return centred(kernel), centred(bias)
        return kernel, bias + self._offset

    def before(self, rows):
        """What enters f."""
        return self.norm(rows) if self.norm_first else rows

    def after(self, rows, outputs):
        """What leaves the connection; `rows` as they were before `before`."""
        rows = rows if self._gain is None else rows * self._gain()
        total = tf.cast(outputs, tf.float32) + rows
        return total if self.norm_first else self.norm(total)


def side_by_side(layers, scales=None):
    """One product in place of several dense layers that read the same rows.

    Args:
        layers: built `keras.layers.Dense`.
        scales: a factor for each of them; 1 when None.

    Returns:
        kernel `[D, N]` and bias `[N]`.
    """
    pairs = list(zip(layers, scales or [1.0] * len(layers), strict=True))
    kernels = [layer.kernel.numpy() * scale for layer, scale in pairs]
    return np.concatenate(kernels, axis=1), np.concatenate([_bias(layer) * scale for layer, scale in pairs])


def _bias(layer):
    return np.zeros(layer.kernel.shape[1], "float32") if layer.bias is None else layer.bias.numpy()
