"""Tokenizers: strings to ids and back, in graph, savable.

The public names load on first use: the kinds that a recipe can name are known without TensorFlow.
"""

from keras_attn.extras import require
from keras_attn.lazy import lazy_names
from keras_attn.tokenizers.kinds import BUILT_IN

require("tensorflow")

_HOMES = {name: module for module, name in BUILT_IN.values()} | {
    "load_tokenizer": "loading",
    "register_tokenizer": "kinds",
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
