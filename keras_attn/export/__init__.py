"""From a model to a checked version of a TensorFlow Serving model.

Names load on first use: a program that only reads the files of a version does not wait for TensorFlow.
"""

import importlib

from keras_attn.extras import require

require("tensorflow")

_HOMES = {
    "InGraphBatching": "service.in_graph_batching",
    "NotAnExportError": "version_files",
    "Report": "verification.report",
    "UnservableOpError": "verification.servable_ops",
    "VerificationError": "verification.checks",
    "check_ops": "verification.servable_ops",
    "export_ctranslate2": "ctranslate2",
    "export_saved_model": "saved_model",
    "verify": "verification.verify",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Expected one of {__all__}.")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return __all__
