"""From a model to a checked version of a TensorFlow Serving model.

Names load on first use: a program that only reads the files of a version does not wait for TensorFlow.
"""

from keras_attn.extras import require
from keras_attn.lazy import lazy_names

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
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
