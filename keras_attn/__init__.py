"""Attention layers for Keras 3, assembled into text-to-text models that train, export and serve.

The public names load on first use, so that `from keras_attn.serving import connect` works where neither Keras
nor TensorFlow is installed.
"""

from importlib.metadata import version

from keras_attn.lazy import lazy_names

__version__ = version("keras-attn")

_HOMES = {
    "SequenceCrossentropy": "losses",
    "TextToText": "text_to_text",
    "TokenAccuracy": "metrics",
    "check_padding_invariance": "checks.padding_invariance",
    "load_model": "saving",
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
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES | {name: name for name in _MODULES})
