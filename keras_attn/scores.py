"""From logits to attention weights to context: the differentiable look-up that all layers share."""

from keras import ops

# About the lowest float32: below any logit, yet finite, for a fully masked row subtracts it from itself.
_MASKED_LOGIT = -3.4e38


def masked_softmax(logits, keep=None):
    """Softmax over the last axis that gives masked places exactly 0 and a fully masked row all zeros.

    `weights[s] = keep[s] exp(logits[s] - max) / sum_j keep[j] exp(logits[j] - max)`, in float32 whatever the
    dtype of the logits. Gradients are finite also where a row has nothing to keep.

    Args:
        logits: `[..., S]`.
        keep: boolean, broadcasts to `logits`; True = keep. None keeps everything.

    Returns:
        float32 weights of the shape of `logits`.
    """
    logits = ops.cast(logits, "float32")
    if keep is None:
        return ops.softmax(logits, axis=-1)
    logits = ops.where(keep, logits, _MASKED_LOGIT)
    maximum = ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    exponentials = ops.where(keep, ops.exp(logits - maximum), 0.0)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    # A row with something to keep has a total of at least exp(0) = 1; only an empty row has 0.
    return exponentials / ops.maximum(total, 1e-30)


def additive_logits(query, key, vector):
    """Bahdanau's score of every query against every key: `logits[t, s] = v · tanh(query[t] + key[s])`.

    Args:
        query: projected queries `[B, T, U]`.
        key: projected keys `[B, S, U]`.
        vector: v, `[U]`.

    Returns:
        `[B, T, S]`. The sum over all U makes a `[B, T, S, U]` tensor on the way.
    """
    hidden = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(key, 1))  # [B, T, S, U]
    return ops.squeeze(ops.matmul(hidden, ops.expand_dims(vector, -1)), -1)


def weighted_sum(weights, value):
    """The context of every query: `context[t] = sum_s weights[t, s] value[s]`.

    Args:
        weights: `[B, T, S]`.
        value: `[B, S, D]`.

    Returns:
        `[B, T, D]` in the dtype of `value`.
    """
    return ops.matmul(ops.cast(weights, value.dtype), value)
