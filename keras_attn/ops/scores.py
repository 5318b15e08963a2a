"""From logits to attention weights to context: the differentiable look-up that all layers share."""

from keras import ops

from keras_attn.typing import Tensor

# About the lowest float32: below any logit, yet finite, for a fully masked row subtracts it from itself.
_MASKED_LOGIT = -3.4e38


def masked_softmax(logits: Tensor, keep: Tensor = None) -> Tensor:
    """Softmax over the last axis that gives masked places exactly 0 and a fully masked row all zeros.

    `weights[s] = keep[s] exp(logits[s] - max) / sum_j keep[j] exp(logits[j] - max)`, in float32 whatever the
    dtype of the logits. Gradients are finite also where a row has nothing to keep.

    Args:
        logits: `[..., S]`.
        keep: boolean, broadcasts to `logits`; True = keep. None keeps everything.

    Returns:
        float32 weights of the shape of `logits`.
    """
    weights = softmax_of_kept(logits, keep)
    return weights if keep is None else ops.where(keep, weights, 0.0)


def softmax_of_kept(logits: Tensor, keep: Tensor = None) -> Tensor:
    """Like `masked_softmax`, but fully masked rows get uniform weights.

    Saves a pass over the weights for callers that zero the context afterwards.

    Args:
        logits: `[..., S]`.
        keep: boolean, broadcasts to `logits`; True = keep. None keeps everything.

    Returns:
        float32 weights of the shape of `logits`.
    """
    logits = ops.cast(logits, "float32")
    logits = logits if keep is None else ops.where(keep, logits, _MASKED_LOGIT)
    if logits.shape[-1] == 1:  # Keras warns of a softmax over one place
        return ops.exp(logits - logits)
    return ops.softmax(logits, axis=-1)


def additive_logits(query: Tensor, key: Tensor, vector: Tensor, term: Tensor = None) -> Tensor:
    """Bahdanau's score: `logits[t, s] = v · tanh(query[t] + key[s] + term[t, s])`.

    Args:
        query: projected queries `[B, T, U]`.
        key: projected keys `[B, S, U]`.
        vector: v, `[U]`.
        term: what else speaks for a key (a bias, the keys' history), broadcasts to `[B, T, S, U]`; or None.

    Returns:
        `[B, T, S]`. The sum over all U makes a `[B, T, S, U]` tensor on the way.
    """
    hidden = ops.expand_dims(query, 2) + ops.expand_dims(key, 1)  # [B, T, S, U]
    hidden = ops.tanh(hidden if term is None else hidden + term)
    # As a matrix: within a loop, XLA cannot compile what TensorFlow makes of the gradient of a higher rank.
    rows = ops.reshape(hidden, (-1, hidden.shape[-1]))  # [B T S, U]
    return ops.reshape(ops.matmul(rows, ops.expand_dims(vector, -1)), ops.shape(hidden)[:-1])


def dot_logits(query: Tensor, key: Tensor) -> Tensor:
    """Luong's dot score, one head, not scaled: `logits[t, s] = query[t] · key[s]`.

    Args:
        query: `[B, T, D]`.
        key: `[B, S, D]`.

    Returns:
        `[B, T, S]`.
    """
    return ops.matmul(query, ops.swapaxes(key, -1, -2))


def weighted_sum(weights: Tensor, value: Tensor) -> Tensor:
    """The context of every query: `context[t] = sum_s weights[t, s] value[s]`.

    Args:
        weights: `[B, T, S]`.
        value: `[B, S, D]`.

    Returns:
        `[B, T, D]` in the dtype of `value`.
    """
    return ops.matmul(ops.cast(weights, value.dtype), value)


def grouped_dot_logits(query: Tensor, key: Tensor) -> Tensor:
    """`logits[h, t, s] = query[h, t] · key[h // G, s]`: G = H / Hkv heads of queries share a head of keys.

    The queries of a group stand as further rows before its one head of keys, which is never repeated.

    Args:
        query: `[B, H, T, E]`, scaled already.
        key: `[B, Hkv, S, E]`; Hkv divides H.

    Returns:
        `[B, H, T, S]`.
    """
    batch, num_heads, num_queries, width = ops.shape(query)
    groups = (batch, key.shape[1], num_heads // key.shape[1] * num_queries, width)
    rows = ops.reshape(query, groups)  # [B, Hkv, G T, E]
    logits = ops.matmul(rows, ops.swapaxes(key, -1, -2))  # [B, Hkv, G T, S]
    return ops.reshape(logits, (batch, num_heads, num_queries, ops.shape(key)[2]))


def grouped_weighted_sum(weights: Tensor, value: Tensor) -> Tensor:
    """The context of every head and query: `context[h, t] = sum_s weights[h, t, s] value[h // G, s]`.

    Args:
        weights: `[B, H, T, S]`.
        value: `[B, Hkv, S, E]`; Hkv divides H.

    Returns:
        `[B, H, T, E]` in the dtype of `value`.
    """
    batch, num_heads, num_queries, num_keys = ops.shape(weights)
    groups = (batch, value.shape[1], num_heads // value.shape[1] * num_queries, num_keys)
    rows = ops.reshape(weights, groups)  # [B, Hkv, G T, S]
    context = weighted_sum(rows, value)
    return ops.reshape(context, (batch, num_heads, num_queries, value.shape[-1]))
