"""Sizes, schemes and an oracle for tests of MultiHeadAttention."""

import numpy as np

from keras_attn.layers import (
    ALiBiPositions,
    MultiHeadAttention,
    RotaryPositions,
    ShawPositions,
    T5Positions,
)

B, T, S, Q_DIM, V_DIM, K_DIM = 2, 3, 5, 7, 11, 13
HEADS, KEY_HEADS, KEY_WIDTH, VALUE_WIDTH, OUTPUT_DIM = 6, 2, 4, 17, 19
# What is added up on the way to a number.
TERMS = Q_DIM + V_DIM + K_DIM + KEY_WIDTH + S + HEADS * VALUE_WIDTH
SCHEMES = {
    "none": lambda: None,
    "shaw": lambda: ShawPositions(2),
    "shaw_keys_alone": lambda: ShawPositions(3, use_values=False),
    "t5": lambda: T5Positions(8, 5),
    "t5_causal": lambda: T5Positions(8, 7, bidirectional=False),
    "alibi": ALiBiPositions,
    "rotary": RotaryPositions,
    "rotary_half": lambda: RotaryPositions(base=101.0, layout="half"),
}

IMPLEMENTATIONS = ("full", "blockwise", "windowed")


def make(**options):
    """Sizes that all differ, and biases that are not 0."""
    sizes = {"value_dim": VALUE_WIDTH, "num_key_value_heads": KEY_HEADS, "output_shape": OUTPUT_DIM}
    options = {**sizes, "bias_initializer": "random_normal", **options}
    return MultiHeadAttention(HEADS, KEY_WIDTH, **options)


def twin(layer, **options):
    """A layer with other options and the same weights."""
    other = make(**options)
    other.build((B, T, Q_DIM), (B, S, V_DIM), (B, S, K_DIM))
    other.set_weights(layer.get_weights())
    return other


def dense(projection, x):
    return x @ np.asarray(projection.kernel) + np.asarray(projection.bias)


def oracle(layer, query, value, key, keep):
    """The formula of the docstring in loops over batch, heads and queries; `keep` is `[B, H, T, S]`."""
    q = dense(layer.query_projection, query).reshape(B, T, HEADS, -1)
    k = dense(layer.key_projection, key).reshape(B, S, layer.num_key_value_heads, -1)
    v = dense(layer.value_projection, value).reshape(B, S, layer.num_key_value_heads, -1)
    context, weights = np.zeros((B, T, HEADS, v.shape[-1])), np.zeros((B, HEADS, T, S))
    for b, h, t in np.ndindex(B, HEADS, T):
        group = h * layer.num_key_value_heads // HEADS
        energy = np.exp(k[b, :, group] @ q[b, t, h] / np.sqrt(KEY_WIDTH)) * keep[b, h, t]
        weights[b, h, t] = energy / max(energy.sum(), 1e-30)
        context[b, t, h] = weights[b, h, t] @ v[b, :, group]
    output = dense(layer.output_projection, context.reshape(B, T, -1))
    return output * keep.any((1, 3))[..., None], weights


def combined(masks, attention_mask=True, causal=False):
    keep = masks["query_mask"][:, :, None] & (masks["value_mask"] & masks["key_mask"])[:, None]
    keep = keep & np.tri(T, S, S - T, dtype=bool) if causal else keep
    return np.broadcast_to(keep[:, None] & attention_mask, (B, HEADS, T, S))
