"""Encodings of absolute positions: pure functions, computed in float32 whatever the policy."""

import numpy as np
from keras import ops

from keras_attn.typing import Tensor

LAYOUTS = ("interleaved", "halves", "opennmt")


def position_range(length: Tensor, start: Tensor = 0) -> Tensor:
    """The positions `start, start + 1, ...` of a stretch of `length` places.

    Args:
        length: T, an integer or a scalar tensor.
        start: the first position, an integer or a scalar tensor.

    Returns:
        int32 `[T]`.
    """
    # The sum comes second: `ops.arange` wants its own bounds as numbers on some backends.
    return ops.arange(length, dtype="int32") + ops.cast(start, "int32")


def sinusoids(positions: Tensor, width: int, layout: str = "interleaved") -> Tensor:
    """Sines and cosines of positions, one wave length for every pair of columns.

    ```
    interleaved   e[p, 2i] = sin(p r_i),  e[p, 2i + 1] = cos(p r_i)    r_i = 10000^(-2i / D)
    halves        e[p, i]  = sin(p r_i),  e[p, n + i]  = cos(p r_i)    r_i = 10000^(-i / (n - 1)),  n = D // 2
    opennmt       as halves, with p + 1 for p
    ```

    An odd width ends `interleaved` with a sine, and the other two with a column of zeros.

    Args:
        positions: integers of any shape `[...]`.
        width: D.
        layout: one of `LAYOUTS`.

    Returns:
        float32 `[..., D]`.
    """
    # bfloat16 holds no odd integer above 256, and float16 none above 2,048.
    positions = ops.expand_dims(ops.cast(positions, "float32"), -1)  # [..., 1]
    if layout == "interleaved":
        angles = positions * np.float32(10000.0 ** (-np.arange(0, width, 2) / width))  # [..., ceil(D / 2)]
        pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        encoded = ops.reshape(pairs, (*ops.shape(positions)[:-1], width + width % 2))
        return encoded[..., :width] if width % 2 else encoded
    if layout == "opennmt":
        positions = positions + 1.0
    half = width // 2
    angles = positions * np.float32(10000.0 ** (-np.arange(half) / max(half - 1, 1)))  # [..., n]
    rest = ops.zeros_like(positions)[..., : width % 2]
    return ops.concatenate([ops.sin(angles), ops.cos(angles), rest], axis=-1)
