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
    and row 2 i + 1 of the batch are the same pair (`keras_attn.training.repeated_rows`), and dropout differs
    from row to row. It is half of the paper's loss, so that with α = 0 it is the ordinary one; α means the
    same. The divergence is not smoothed.

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
        log_probs = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)  # [2B, T, V]
        pairs = ops.reshape(log_probs, (-1, 2, *ops.shape(log_probs)[1:]))  # [B, 2, T, V]
        log_p, log_q = pairs[:, 0], pairs[:, 1]
        apart = ops.sum((ops.exp(log_p) - ops.exp(log_q)) * (log_p - log_q), axis=-1)  # [B, T]
        # Each of both rows bears half of alpha/2, as it bears half of the cross-entropy.
        apart = ops.repeat(apart, 2, axis=0) * keep / ops.maximum(ops.sum(keep), 1.0)  # [2B, T]
        return super().call(y_true, y_pred) + 0.25 * self.alpha * apart

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "alpha": self.alpha}
