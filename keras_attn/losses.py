"""Losses on padded id sequences."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_attn")
class SequenceCrossentropy(keras.losses.Loss):
    """Cross-entropy per target token, in natural logarithms; padded places do not count.

    ```
    loss = sum_t keep_t [(1 - ε) nll_t + ε mean_v(-log p_t[v])] / sum_t keep_t
    keep_t = (y_t != pad_id)
    ```

    The smoothed target gives every one of the V tokens ε/V and the right one 1 - ε + ε/V (Szegedy et al.
    2016, section 7; `keras.losses.CategoricalCrossentropy` does the same). No one-hot of the vocabulary is
    made.

    Args:
        label_smoothing: ε, in [0, 1).
        pad_id: the target id that does not count.
        name: of the loss.

    Call arguments:
        y_true: integer ids `[B, T]`.
        y_pred: logits `[B, T, V]`.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: for a `label_smoothing` outside [0, 1).
    """

    def __init__(self, label_smoothing=0.0, pad_id=0, name="sequence_crossentropy", **kwargs):
        # `call` divides by the number of tokens: the sum is their mean, and no other reduction is.
        super().__init__(name=name, **{**kwargs, "reduction": "sum"})
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def call(self, y_true, y_pred):
        """Each token's share of the loss, `[B, T]`."""
        keep = ops.cast(ops.not_equal(y_true, self.pad_id), "float32")
        y_pred = ops.cast(y_pred, "float32")
        log_total = ops.logsumexp(y_pred, axis=-1)
        index = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        loss = log_total - ops.squeeze(ops.take_along_axis(y_pred, index, axis=-1), -1)
        if self.label_smoothing:
            uniform = log_total - ops.mean(y_pred, axis=-1)
            loss = (1 - self.label_smoothing) * loss + self.label_smoothing * uniform
        return loss * keep / ops.maximum(ops.sum(keep), 1.0)

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "pad_id": self.pad_id}
