"""Metrics on padded id sequences."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenAccuracy(keras.metrics.Metric):
    """Share of the target tokens, pads left out, whose most probable prediction is right.

    Args:
        pad_id: the target id that does not count.
        name: of the metric.
        **kwargs: of `keras.metrics.Metric`.
    """

    def __init__(self, pad_id=0, name="token_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.pad_id = pad_id
        self.right = self.add_weight(name="right", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts one batch: `y_true` ids `[B, T]`, `y_pred` logits `[B, T, V]`."""
        keep = ops.cast(ops.not_equal(y_true, self.pad_id), self.dtype)
        if sample_weight is not None:
            keep = keep * ops.cast(sample_weight, self.dtype)
        right = ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        self.right.assign_add(ops.sum(ops.cast(right, self.dtype) * keep))
        self.total.assign_add(ops.sum(keep))

    def result(self):
        """Right tokens over all tokens."""
        return ops.divide_no_nan(self.right, self.total)

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "pad_id": self.pad_id}
