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
        sample_weight: what a token's share is multiplied by, `[B, T]`, or a row's, `[B]` or `[B, 1]`; None
            is 1.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: for a `label_smoothing` outside [0, 1), and for another `reduction` than `"sum"`.
    """

    def __init__(self, label_smoothing=0.0, pad_id=0, name="sequence_crossentropy", **kwargs):
        # `call` divides by the number of tokens: the sum is their mean, and no other reduction is.
        reduction = kwargs.pop("reduction", "sum")
        if reduction != "sum":
            raise ValueError(
                "The loss is a mean over tokens. Expected reduction='sum', of their shares. Received: "
                f"reduction={reduction!r}. For the loss of each token, use `keras_attn.losses.smoothed_nll`."
            )
        super().__init__(name=name, reduction="sum", **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be in [0, 1). Received: label_smoothing={label_smoothing}."
            )
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def __call__(self, y_true, y_pred, sample_weight=None):
        """See the class. Keras' losses would spread `[B]` over the places, the last axis."""
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            sample_weight = sample_weight[:, None] if len(sample_weight.shape) == 1 else sample_weight
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        """Each token's share of the loss, `[B, T]`."""
        keep, labels = kept_labels(y_true, self.pad_id)
        loss = smoothed_nll(labels, ops.cast(y_pred, "float32"), self.label_smoothing)
        keep = ops.cast(keep, "float32")
        return loss * keep / ops.maximum(ops.sum(keep), 1.0)

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "pad_id": self.pad_id}


def kept_labels(y_true, pad_id):
    """Which of the ids `[B, T]` count, boolean, and the ids with 0 for the others: a pad may be no class."""
    keep = ops.not_equal(y_true, pad_id)
    return keep, ops.where(keep, y_true, ops.zeros_like(y_true))


def smoothed_nll(labels, logits, smoothing):
    """`(1 - ε) nll + ε mean_v(-log p[v])` for labels `[B, T]` and float32 logits `[B, T, V]`, per token.

    The same as `nll + ε (logit[label] - mean_v logit[v])`. The gradient is written out, `p - (1 - ε) onehot -
    ε/V`: the tensors of the size of the vocabulary are the largest of a training step, and automatic
    differentiation passes over them more often.
    """
    vocabulary_size = ops.shape(logits)[-1]
    flat_labels = ops.reshape(ops.cast(labels, "int32"), (-1, 1))  # [N, 1]

    @ops.custom_gradient
    def nll(flat_logits):
        probabilities = ops.softmax(flat_logits, axis=-1)  # [N, V]
        logit = ops.take_along_axis(flat_logits, flat_labels, axis=-1)  # [N, 1]
        probability = ops.take_along_axis(probabilities, flat_labels, axis=-1)  # [N, 1]
        loss = _exact_nll(flat_logits, probabilities, logit, probability)
        if smoothing:
            # As a matrix product, which oneDNN does faster than Eigen its mean over rows.
            mean = ops.matmul(
                flat_logits, ops.full((vocabulary_size, 1), 1 / vocabulary_size, dtype=flat_logits.dtype)
            )
            loss = loss + smoothing * (logit - mean)

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream  # [N, 1]
            floor = smoothing / vocabulary_size
            change = ((probabilities - floor) if smoothing else probabilities) * upstream
            at_label = (probability - floor - (1 - smoothing)) * upstream
            rows = ops.reshape(ops.arange(ops.shape(flat_labels)[0]), (-1, 1))
            indices = ops.concatenate([rows, flat_labels], axis=-1)
            return ops.scatter_update(change, indices, ops.squeeze(at_label, -1))

        return loss, gradient

    return ops.reshape(nll(ops.reshape(logits, (-1, vocabulary_size))), ops.shape(labels))


def _exact_nll(logits, probabilities, logit, probability):
    """`-log p[label]`, `[N, 1]`, also where float32 has no such small p: then by way of the largest one.

    That way costs two more passes over `[N, V]`, and is gone only if some label needs it.
    """

    def by_the_largest():
        log_total = ops.max(logits, axis=-1, keepdims=True)
        log_total = log_total - ops.log(ops.max(probabilities, axis=-1, keepdims=True))
        return log_total - logit

    return ops.cond(ops.min(probability) > 1e-30, lambda: -ops.log(probability), by_the_largest)
