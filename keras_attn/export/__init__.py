"""From a model to a checked version of a TensorFlow Serving model."""

from keras_attn.export.ops import UnservableOpError, check_ops
from keras_attn.export.saved_model import export

__all__ = ["UnservableOpError", "check_ops", "export"]
