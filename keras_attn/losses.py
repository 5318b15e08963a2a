"""Losses on padded id sequences: cross-entropy, R-Drop and coverage."""

from typing import Any

import keras
from keras import ops

from keras_attn.typing import Config, Tensor


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

    def __init__(
        self,
        label_smoothing: float = 0.0,
        *,
        pad_id: int = 0,
        name: str = "sequence_crossentropy",
        **kwargs: Any,
    ) -> None:
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

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        """See the class. Keras' losses would spread `[B]` over the places, the last axis."""
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            sample_weight = sample_weight[:, None] if len(sample_weight.shape) == 1 else sample_weight
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Each token's share of the loss, `[B, T]`."""
        keep, labels = kept_labels(y_true, self.pad_id)
        loss = smoothed_nll(labels, ops.cast(y_pred, "float32"), self.label_smoothing)
        keep = ops.cast(keep, "float32")
        return loss * keep / ops.maximum(ops.sum(keep), 1.0)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing, "pad_id": self.pad_id}


def kept_labels(y_true: Tensor, pad_id: int) -> tuple[Tensor, Tensor]:
    """Which of the ids `[B, T]` count, boolean, and the ids with 0 for the others: a pad may be no class."""
    keep = ops.not_equal(y_true, pad_id)
    return keep, ops.where(keep, y_true, ops.zeros_like(y_true))


def smoothed_nll(labels: Tensor, logits: Tensor, smoothing: float) -> Tensor:
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

    return ops.cond(ops.min(probability, initial=1.0) > 1e-30, lambda: -ops.log(probability), by_the_largest)


def coverage_loss(weights: Tensor, query_mask: Tensor = None) -> Tensor:
    """The coverage loss of attention weights: what each query gives to keys that have had attention already.

    ```
    coverage[t, s] = sum_{j<t} weights[j, s]
    loss[b]        = sum_t keep_t sum_s min(weights[t, s], coverage[t, s])
    ```

    Add it to a model's loss, times a weight: with 1, and per token, in the paper. A key that is masked has
    weights of 0 and costs nothing; so does the first query.

    Args:
        weights: `[B, T, S]`, as an attention returns them with `return_attention_scores=True`.
        query_mask: boolean `[B, T]`, True = keep; a masked query neither costs nor covers. None keeps all.

    Returns:
        float32 `[B]`, between 0 and T - 1.

    Example, a second look at the same key:

    >>> import keras, keras_attn.losses
    >>> weights = keras.ops.array([[[1.0, 0.0], [0.75, 0.25]]])
    >>> keras.ops.convert_to_numpy(keras_attn.losses.coverage_loss(weights)).tolist()
    [0.75]

    Reference: See, Liu, Manning, "Get To The Point: Summarization with Pointer-Generator Networks", ACL 2017,
    section 2.3, equation 12.
    """
    weights = ops.cast(weights, "float32")
    if query_mask is not None:
        weights = ops.where(ops.cast(query_mask, "bool")[:, :, None], weights, 0.0)
    # Exclusive cumsum by slicing: subtracting `weights` would leave rounding residue that `minimum` counts.
    covered = ops.cumsum(weights, axis=1)[:, :-1]  # [B, T - 1, S]
    return ops.sum(ops.minimum(weights[:, 1:], covered), axis=(1, 2))


@keras.saving.register_keras_serializable(package="keras_attn")
class RDropCrossentropy(SequenceCrossentropy):
    """`SequenceCrossentropy` of two passes of every row, plus how far apart their distributions are.

    ```
    loss = mean_t [(ce_t(p) + ce_t(q)) / 2 + α/4 (KL(p_t || q_t) + KL(q_t || p_t))]
    KL(p || q) + KL(q || p) = sum_v (p[v] - q[v]) (log p[v] - log q[v])
    ```

    over the target tokens that are no padding, where p and q are the model's two answers for one row: row 2 i
    and row 2 i + 1 of the batch are the same pair (`keras_attn.training.batches.repeated_rows`), and dropout
    differs from row to row. It is half of the paper's loss, so that with α = 0 it is the ordinary one; α
    means the same. The divergence is not smoothed.

    Args:
        alpha: α, at least 0; 1 to 5 in the paper, 5 for translation.
        label_smoothing: of the cross-entropy, in [0, 1).
        pad_id: the target id that does not count.
        name: of the loss.

    Call arguments:
        y_true: integer ids `[2 B, T]`.
        y_pred: logits `[2 B, T, V]`.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: for a negative `alpha`.

    Example:

    >>> import keras
    >>> from keras_attn.losses import RDropCrossentropy
    >>> logits = keras.ops.log([[[0.5, 0.5]], [[0.8, 0.2]]])
    >>> round(float(RDropCrossentropy(alpha=4.0)([[1], [1]], logits)), 4)  # (ln 2 + ln 5) / 2 + 0.3 ln 4
    1.5672

    Reference: Wu et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, equations 1 to 3.
    """

    def __init__(
        self,
        alpha: float,
        label_smoothing: float = 0.0,
        *,
        pad_id: int = 0,
        name: str = "r_drop_crossentropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(label_smoothing, pad_id=pad_id, name=name, **kwargs)
        if not alpha >= 0:
            raise ValueError(f"`alpha` must be at least 0. Received: alpha={alpha}.")
        self.alpha = alpha

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Each token's share of the loss, `[2 B, T]`."""
        keep = ops.cast(ops.not_equal(y_true, self.pad_id), "float32")
        # Each of both rows bears half of alpha/2, as it bears half of the cross-entropy.
        apart = ops.repeat(symmetric_divergence(ops.cast(y_pred, "float32")), 2, axis=0)  # [2B, T]
        apart = apart * keep / ops.maximum(ops.sum(keep), 1.0)
        return super().call(y_true, y_pred) + 0.25 * self.alpha * apart

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "alpha": self.alpha}


def symmetric_divergence(logits: Tensor) -> Tensor:
    """`KL(p || q) + KL(q || p)`, `[B, T]`, of rows 2 i and 2 i + 1 of float32 logits `[2 B, T, V]`.

    ```
    J = sum_v (p[v] - q[v]) d[v],   d = z_p - z_q
    dJ/dz_p = p (d - <p, d>) + p - q,   dJ/dz_q = q (<q, d> - d) + q - p
    ```

    for z the logits: their normalizers cancel. The gradient is written out for the same reason as that of
    `smoothed_nll`; automatic differentiation takes about four times as long.
    """
    num_rows, *rest = ops.shape(logits)
    pairs = ops.reshape(logits, (num_rows // 2, 2, *rest))  # [B, 2, T, V]

    @ops.custom_gradient
    def divergence(pairs):
        probabilities = ops.softmax(pairs, axis=-1)
        apart = pairs[:, 0] - pairs[:, 1]  # [B, T, V]
        means = ops.sum(probabilities * apart[:, None], axis=-1, keepdims=True)  # [B, 2, T, 1]

        def gradient(*arguments, upstream=None):
            upstream = (arguments[0] if upstream is None else upstream)[..., None]  # [B, T, 1]
            p, q = probabilities[:, 0], probabilities[:, 1]
            of_p = p * (apart - means[:, 0]) + (p - q)
            of_q = q * (means[:, 1] - apart) - (p - q)
            return ops.stack([of_p * upstream, of_q * upstream], axis=1)

        return ops.squeeze(means[:, 0] - means[:, 1], axis=-1), gradient

    return divergence(pairs)
