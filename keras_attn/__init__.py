"""Attention layers for Keras 3, assembled into text-to-text models that train, export and serve.

The public names load on first use, so that `from keras_attn.serving import Client` works where neither Keras
nor TensorFlow is installed.
"""

import importlib
from importlib.metadata import version

__version__ = version("keras-attn")

_HOMES = {
    "SequenceCrossentropy": "keras_attn.losses",
    "TextToText": "keras_attn.text_to_text",
    "TokenAccuracy": "keras_attn.metrics",
    "check_padding_invariance": "keras_attn.padding_invariance",
    "decoding": "keras_attn.decoding",
    "export": "keras_attn.export",
    "layers": "keras_attn.layers",
    "load_model": "keras_attn.saved_models",
    "models": "keras_attn.models",
    "text": "keras_attn.text",
}
_MODULES = {"decoding", "export", "layers", "models", "text"}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'keras_attn' has no attribute {name!r}. Expected one of {__all__}.")
    home = importlib.import_module(_HOMES[name])
    return home if name in _MODULES else getattr(home, name)


def __dir__():
    return __all__
