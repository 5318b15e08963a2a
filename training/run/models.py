"""Models of a run, loaded from its files."""

import json
import zipfile

import keras

from keras_attn.saving import load_model

# A saved model finds its optimizer only where this has been imported.
from keras_attn.training.evaluation.translator import in_float32
from keras_attn.training.from_recipe import optimizer  # noqa: F401
from keras_attn.typing import Model, StrPath


def load_last(path: StrPath, is_to_decode: bool = False) -> Model:
    """The model of a checkpoint, with the moving average of its weights where it has one.

    Args:
        path: of the `.keras` file.
        is_to_decode: whether it is to be in float32.
    """
    model = load_model(path)
    for variable, average in getattr(model.optimizer, "averages", list)():
        variable.assign(average)
    return in_float32(model) if is_to_decode else model


def load_to_decode(path: StrPath) -> Model:
    """The model of a `.keras` file in float32, not compiled: made once, in that precision."""
    with zipfile.ZipFile(path) as archive:
        described = json.loads(archive.read("config.json"))
    described.pop("compile_config", None)
    if described["config"].get("dtype", "float32") == "float32":
        return load_model(path, compile=False)
    model = keras.saving.deserialize_keras_object(
        {**described, "config": {**described["config"], "dtype": "float32"}}
    )
    model.load_weights(path)
    return model
