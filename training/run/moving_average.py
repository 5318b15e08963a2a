"""The weights that count: where a moving average is kept, the average."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_attn.typing import Model


@contextmanager
def averaged_weights(model: Model) -> Iterator[bool]:
    """Inside, `model` has the moving average of its weights, if its optimizer keeps one.

    Outside it has its own again, bit for bit, so that training goes on as if nothing had been.

    Args:
        model: a compiled model.

    Yields:
        Whether there is an average.
    """
    averages: list[Any] = getattr(model.optimizer, "averages", list)()
    # By way of a tensor: of a variable that is mirrored on several devices there is no array.
    kept = [keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(x)).copy() for x, _ in averages]
    for variable, average in averages:
        variable.assign(average)
    try:
        yield bool(averages)
    finally:
        for (variable, _), value in zip(averages, kept, strict=True):
            variable.assign(value)
