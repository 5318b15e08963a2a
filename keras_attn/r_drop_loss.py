"""R-Drop: two passes with different dropout are to agree (Wu et al. 2021)."""

import keras
from keras import ops

from keras_attn.losses import SequenceCrossentropy


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
    >>> from keras_attn.r_drop_loss import RDropCrossentropy
    >>> logits = keras.ops.log([[[0.5, 0.5]], [[0.8, 0.2]]])
    >>> round(float(RDropCrossentropy(alpha=4.0)([[1], [1]], logits)), 4)  # (ln 2 + ln 5) / 2 + 0.3 ln 4
    1.5672

    Reference: Wu et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021, equations 1 to 3.
    """

    def __init__(self, alpha, label_smoothing=0.0, pad_id=0, name="r_drop_crossentropy", **kwargs):
        super().__init__(label_smoothing, pad_id, name, **kwargs)
        if not alpha >= 0:
            raise ValueError(f"`alpha` must be at least 0. Received: alpha={alpha}.")
        self.alpha = alpha

    def call(self, y_true, y_pred):
        """Each token's share of the loss, `[2 B, T]`."""
        keep = ops.cast(ops.not_equal(y_true, self.pad_id), "float32")
        # Each of both rows bears half of alpha/2, as it bears half of the cross-entropy.
        apart = ops.repeat(symmetric_divergence(ops.cast(y_pred, "float32")), 2, axis=0)  # [2B, T]
        apart = apart * keep / ops.maximum(ops.sum(keep), 1.0)
        return super().call(y_true, y_pred) + 0.25 * self.alpha * apart

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "alpha": self.alpha}


def symmetric_divergence(logits):
    """`KL(p || q) + KL(q || p)`, `[B, T]`, of rows 2 i and 2 i + 1 of float32 logits `[2 B, T, V]`.

    ```
    J = sum_v (p[v] - q[v]) d[v],   d = z_p - z_q
    dJ/dz_p = p (d - <p, d>) + p - q,   dJ/dz_q = q (<q, d> - d) + q - p
    ```

    for z the logits: their normalizers cancel. The gradient is written out for the same reason as that of
    `smoothed_nll`; automatic differentiation takes about four times as long.
    """
    pairs = ops.reshape(logits, (-1, 2, *ops.shape(logits)[1:]))  # [B, 2, T, V]

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
