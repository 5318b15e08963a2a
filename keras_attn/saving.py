"""Loading a saved model, whichever of this library's classes it is made of."""

from typing import Any

import keras

# Keras finds a class in a file only where its module has been imported.
from keras_attn import layers, losses, metrics, models  # noqa: F401
from keras_attn.typing import StrPath


def load_model(path: StrPath, **options: Any) -> keras.Model:
    """`keras.models.load_model` that knows all classes of this library.

    Keras alone knows those whose modules have been imported: after a bare `import keras_attn`, none.

    Args:
        path: of a `.keras` file.
        **options: of `keras.models.load_model`. `compile=False` leaves the optimizer out, as it takes to load
            a checkpoint of `keras-attn train` for anything but training: its optimizer is in
            `keras_attn.training.from_recipe.optimizer`.

    Returns:
        The model.

    Example:

    >>> import keras_attn, os, tempfile
    >>> model = keras_attn.models.RecurrentSeq2Seq(11, 13, embedding_dim=5, units=7)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> model.save(path)
    >>> keras_attn.load_model(path).count_params() == model.count_params()
    True
    """
    return keras.models.load_model(path, **options)
