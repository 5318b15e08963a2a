"""From a model to a checked version of a TensorFlow Serving model.

The package is callable: `keras_attn.export(text_to_text, base_path)` is `keras_attn.export.export`.
"""

import sys
from types import ModuleType

from keras_attn.export.in_graph_batching import InGraphBatching
from keras_attn.export.ops import UnservableOpError, check_ops
from keras_attn.export.saved_model import export
from keras_attn.export.verification import VerificationError

__all__ = ["InGraphBatching", "UnservableOpError", "VerificationError", "check_ops", "export"]


class _CallablePackage(ModuleType):
    """A package named like its one function, which is called where the package is."""

    def __call__(self, *arguments, **options):
        return export(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
