"""From a model to a checked version of a TensorFlow Serving model.

The package is callable: `keras_attn.export(text_to_text, base_path)` is `keras_attn.export.export`. The names
load on first use: whoever only looks at the files of a version needs no TensorFlow.
"""

import importlib
import sys
from types import ModuleType

_HOMES = {
    "InGraphBatching": "service.in_graph_batching",
    "UnservableOpError": "verification.servable_ops",
    "VerificationError": "verification.checks",
    "check_ops": "verification.servable_ops",
    "export": "saved_model",
}
__all__ = ["InGraphBatching", "UnservableOpError", "VerificationError", "check_ops", "export"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Expected one of {__all__}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return __all__


class _CallablePackage(ModuleType):
    """A package named like its one function, which is called where the package is."""

    def __call__(self, *arguments, **options):
        return self.export(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
