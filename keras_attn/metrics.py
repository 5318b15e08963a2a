"""Metrics on padded id sequences."""

from typing import Any

import keras
from keras import ops

from keras_attn.losses import kept_labels, smoothed_nll
from keras_attn.typing import Config, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenAccuracy(keras.metrics.Metric):
    """Share of the target tokens, pads left out, that no other is more probable than.

    Where several are equally probable, each of them counts as right: to look for the first of them, as an
    argmax does, would take several passes over the vocabulary.

    Args:
        pad_id: the target id that does not count.
        name: of the metric.
        **kwargs: of `keras.metrics.Metric`.
    """

    def __init__(self, *, pad_id: int = 0, name: str = "token_accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.pad_id = pad_id
        self.right = self.add_weight(name="right", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Counts one batch: `y_true` ids `[B, T]`, `y_pred` logits `[B, T, V]`, weights `[B]` or `[B, T]`."""
        keep, labels = _kept(self, y_true, sample_weight)
        labels = ops.cast(labels, "int32")[..., None]
        best = ops.max(y_pred, axis=-1, initial=float("-inf"))  # [B, T]; of no row there is no maximum
        right = ops.take_along_axis(y_pred, labels, axis=-1)[..., 0] >= best
        self.right.assign_add(ops.sum(ops.cast(right, self.dtype) * keep))
        self.total.assign_add(ops.sum(keep))

    def result(self) -> Tensor:
        """Right tokens over all tokens."""
        return ops.divide_no_nan(self.right, self.total)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "pad_id": self.pad_id}


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenCrossentropy(keras.metrics.Metric):
    """Cross-entropy per token of a corpus, however it is cut into batches; padded tokens do not count.

    ```
    sum_i sum_t keep_it [(1 - ε) nll_it + ε mean_v(-log p_it[v])] / sum_i sum_t keep_it
    ```

    What `SequenceCrossentropy` is of a batch, this is of all batches since the last reset: Keras' own mean of
    a loss weighs a batch by its rows, whatever their lengths.

    Args:
        label_smoothing: ε, in [0, 1).
        pad_id: the target id that does not count.
        name: of the metric.
        **kwargs: of `keras.metrics.Metric`.

    Call arguments:
        y_true: integer ids `[B, T]`.
        y_pred: logits `[B, T, V]`.
        sample_weight: of the rows `[B]`, or broadcastable to `[B, T]`; or None.

    Returns:
        A float32 scalar, in natural logarithms; 0 before the first token.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        *,
        pad_id: int = 0,
        name: str = "token_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id
        self.nll = self.add_weight(name="nll", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> None:
        """Adds one batch."""
        keep, labels = _kept(self, y_true, sample_weight)
        # By the loss' own operations: in one graph with it, TensorFlow runs them once.
        nll = smoothed_nll(labels, ops.cast(y_pred, "float32"), self.label_smoothing)  # [B, T]
        self.nll.assign_add(ops.sum(ops.cast(nll, self.dtype) * keep))
        self.total.assign_add(ops.sum(keep))

    def result(self) -> Tensor:
        """The mean over tokens."""
        return ops.divide_no_nan(self.nll, self.total)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        config = {"label_smoothing": self.label_smoothing, "pad_id": self.pad_id}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_attn")
class Perplexity(TokenCrossentropy):
    """Perplexity of a corpus, however it is cut into batches; padded tokens do not count.

    ```
    perplexity = exp(sum_i sum_t keep_it (-log p_it) / sum_i sum_t keep_it)
    ```

    It is no mean of the batches' perplexities, and the probabilities are the model's own, whatever the loss
    smooths.

    Args:
        pad_id: the target id that does not count.
        name: of the metric.
        **kwargs: of `keras.metrics.Metric`.

    Call arguments:
        y_true: integer ids `[B, T]`.
        y_pred: logits `[B, T, V]`.
        sample_weight: of the rows `[B]`, or broadcastable to `[B, T]`; or None.

    Returns:
        A float32 scalar, 1 for certainty and V for a guess among all.

    Example, logits that leave the choice among four:

    >>> import keras, keras_attn.metrics
    >>> perplexity = keras_attn.metrics.Perplexity()
    >>> perplexity.update_state(keras.ops.array([[3, 1, 0]]), keras.ops.zeros((1, 3, 4)))
    >>> round(float(perplexity.result()), 4)
    4.0

    Reference: Jelinek, Mercer, Bahl, Baker, "Perplexity - a measure of the difficulty of speech recognition
    tasks", 1977.
    """

    def __init__(self, *, pad_id: int = 0, name: str = "perplexity", **kwargs: Any) -> None:
        super().__init__(pad_id=pad_id, name=name, **kwargs)

    def result(self) -> Tensor:
        """exp of the mean over tokens; 1 before the first token."""
        return ops.exp(super().result())

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        config = super().get_config()
        del config["label_smoothing"]
        return config


def _kept(metric, y_true, sample_weight):
    """How much each token counts, `[B, T]`, and the ids."""
    keep, labels = kept_labels(y_true, metric.pad_id)
    keep = ops.cast(keep, metric.dtype)
    if sample_weight is None:
        return keep, labels
    weight = ops.cast(sample_weight, metric.dtype)
    if len(weight.shape) == 1:  # one a row, as `fit` gives them: not along time
        weight = weight[:, None]
    return keep * weight, labels
