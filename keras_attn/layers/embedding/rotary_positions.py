"""Pairs of numbers turned by an angle that grows with the position (Su et al. 2021)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.embedding.relative_positions import RelativePositions
from keras_attn.typing import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class RotaryPositions(RelativePositions):
    """Turns pairs of numbers of queries and keys by an angle that grows with the position.

    ```
    angle[p, i]     = p base^(-2 i / E)
    (x_i, y_i)      -> (x_i cos - y_i sin, x_i sin + y_i cos)
    ```

    The dot product of a turned query and a turned key depends on the positions through their distance alone.
    Angles are computed in float32 whatever the policy: bfloat16 cannot hold odd positions above 256.

    Args:
        base: of the angles.
        layout: which numbers make pair i: `"interleaved"` 2 i and 2 i + 1 (the paper, GPT-J),
            `"half"` i and i + E / 2 (GPT-NeoX, Llama). Weights trained with one give nonsense with the other.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for another `layout`, or an odd E.

    Example:

    >>> import numpy as np
    >>> from keras_attn.layers import MultiHeadAttention, RotaryPositions
    >>> layer = MultiHeadAttention(2, 4, relative_positions=RotaryPositions())
    >>> sequence = np.ones((3, 5, 8), "float32")
    >>> tuple(layer(sequence, sequence).shape)
    (3, 5, 8)

    Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, equations 13
    to 16 and 34.
    """

    LAYOUTS = ("interleaved", "half")

    def __init__(self, base: float = 10000.0, *, layout: str = "interleaved", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if layout not in self.LAYOUTS:
            raise ValueError(
                f"`layout` is unknown. Expected one of {self.LAYOUTS}. Received: layout={layout!r}."
            )
        self.base = base
        self.layout = layout

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        """Nothing to make; pairs need an even width."""
        if query_shape[-1] % 2:
            raise ValueError(
                "Rotary positions turn pairs of numbers. Expected an even `key_dim`. "
                f"Received: key_dim={query_shape[-1]}."
            )
        self.built = True

    def rotate(self, tensor: Tensor, positions: Tensor) -> Tensor:
        """Turns `[B, H, T, E]` by the positions `[T]`, in the dtype of `tensor`."""
        width = tensor.shape[-1]
        frequency = [self.base ** (-2 * i / width) for i in range(width // 2)]
        angle = ops.expand_dims(ops.cast(positions, "float32"), -1) * ops.convert_to_tensor(
            frequency, "float32"
        )  # [T, E / 2]
        cosine, sine = ops.cos(angle), ops.sin(angle)
        x, y = self._split(ops.cast(tensor, "float32"))  # [B, H, T, E / 2]
        turned = self._join(x * cosine - y * sine, x * sine + y * cosine, ops.shape(tensor))
        return ops.cast(turned, tensor.dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "base": self.base, "layout": self.layout}

    def _split(self, tensor):
        if self.layout == "half":
            return ops.split(tensor, 2, axis=-1)
        return tensor[..., ::2], tensor[..., 1::2]

    def _join(self, x, y, shape):
        if self.layout == "half":
            return ops.concatenate([x, y], axis=-1)
        return ops.reshape(ops.stack([x, y], axis=-1), shape)
