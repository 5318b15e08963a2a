"""A penalty that grows with the distance (Press et al. 2022)."""

import math
from typing import Any

import keras
from keras import ops

from keras_attn.layers.embedding.relative_positions import RelativePositions, distances
from keras_attn.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ALiBiPositions(RelativePositions):
    """A penalty that grows with the distance, with a fixed slope a head; nothing is learned.

    ```
    logits[h, t, s] = query[t] · key[s] / sqrt(E) - slope[h] |s - t|
    slope[h]        = 2^(-8 (h + 1) / H)
    ```

    Where H is no power of 2, the slopes are those of the power below, then every other one of the power
    above, as in the authors' program.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> import numpy as np
    >>> from keras_attn.layers import MultiHeadAttention, ALiBiPositions
    >>> layer = MultiHeadAttention(2, 4, relative_positions=ALiBiPositions())
    >>> sequence = np.ones((3, 5, 8), "float32")
    >>> tuple(layer(sequence, sequence).shape)
    (3, 5, 8)

    Reference: Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length
    Extrapolation", ICLR 2022, section 3.
    """

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        """Nothing to make, but the number of heads to know."""
        self.num_heads = query_shape[1]
        self.built = True

    def logits(self, query: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """`-slope[h] |s - t|`, `[H, T, S]`."""
        bias = self.tables(distances(query_positions, key_positions))["bias"]  # [T, S, H]
        return ops.transpose(bias, (2, 0, 1))

    def tables(self, distance: Tensor) -> dict[str, Tensor]:
        """`-slope |d|` for every head."""
        slopes = ops.convert_to_tensor(alibi_slopes(self.num_heads), "float32")
        return {"bias": -slopes * ops.expand_dims(ops.cast(ops.abs(distance), "float32"), -1)}


def alibi_slopes(num_heads: int) -> Any:
    """The slope of every head, as a list."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    above = [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return slopes + above[: num_heads - power]
