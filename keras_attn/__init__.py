"""Attention layers for Keras 3, assembled into text-to-text models that train, export and serve.

The public names load on first use, so that `from keras_attn.serving import connect` works where neither Keras
nor TensorFlow is installed.
"""

import importlib
from importlib.metadata import version

__version__ = version("keras-attn")

_HOMES = {
    "SequenceCrossentropy": "keras_attn.losses",
    "TextToText": "keras_attn.text_to_text",
    "TokenAccuracy": "keras_attn.metrics",
    "check_padding_invariance": "keras_attn.checks.padding_invariance",
    "load_model": "keras_attn.saving",
}
_MODULES = (
    "decoding",
    "errors",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "protocols",
    "serving",
    "tokenizers",
    "training",
    "visualize",
)
__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"keras_attn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'keras_attn' has no attribute {name!r}. Expected one of {__all__}.")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return __all__
