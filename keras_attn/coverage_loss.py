"""What it costs to look again at what has been looked at (See, Liu and Manning 2017)."""

from keras import ops


def coverage_loss(weights, query_mask=None):
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

    >>> import keras, keras_attn.coverage_loss
    >>> weights = keras.ops.array([[[1.0, 0.0], [0.75, 0.25]]])
    >>> keras.ops.convert_to_numpy(keras_attn.coverage_loss.coverage_loss(weights)).tolist()
    [0.75]

    Reference: See, Liu, Manning, "Get To The Point: Summarization with Pointer-Generator Networks", ACL 2017,
    section 2.3, equation 12.
    """
    weights = ops.cast(weights, "float32")
    if query_mask is not None:
        weights = ops.where(ops.cast(query_mask, "bool")[:, :, None], weights, 0.0)
    # Shifted, not subtracted: of what rounding left, the minimum with a weight would make a cost.
    covered = ops.cumsum(weights, axis=1)[:, :-1]  # [B, T - 1, S]
    return ops.sum(ops.minimum(weights[:, 1:], covered), axis=(1, 2))
