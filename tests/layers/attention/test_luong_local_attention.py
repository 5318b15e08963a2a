"""LuongLocalAttention: equations 9 and 10 in loops, windows by hand, its errors."""

import numpy as np
import pytest

from keras_attn.layers import LuongAttention, LuongLocalAttention

B, T, S, Q_DIM, V_DIM = 2, 3, 11, 7, 5


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=shape).astype("float32") for shape in ((B, T, Q_DIM), (B, S, V_DIM))]


def built(inputs, *arguments, **keywords):
    layer = LuongLocalAttention(*arguments, **keywords)
    layer.build(*(x.shape for x in inputs))
    return layer


@pytest.mark.parametrize("window", [1, 2, 3])
def test_predictive_against_the_equations(inputs, rng, window):
    query, value = inputs
    layer = built(inputs, window)
    layer.position_vector.assign(3 * rng.normal(size=(Q_DIM, 1)))
    keep = np.arange(S) < np.array([[S], [7]])
    _, weights = layer(query, value, value_mask=keep, return_attention_scores=True)
    kernel = np.asarray(layer.key_projection.kernel)
    w_p, v_p = np.asarray(layer.position_projection.kernel), np.asarray(layer.position_vector)[:, 0]
    for b, t in np.ndindex(B, T):
        place = keep[b].sum() / (1 + np.exp(-np.tanh(query[b, t] @ w_p) @ v_p))
        near = [s for s in range(S) if keep[b, s] and abs(s - place) <= window]
        energy = np.exp([value[b, s] @ kernel @ query[b, t] for s in near])
        expected = np.zeros(S)
        for s, weight in zip(near, energy / energy.sum(), strict=True):
            expected[s] = weight * np.exp(-((s - place) ** 2) / (2 * (window / 2) ** 2))
        np.testing.assert_allclose(weights[b, t], expected, rtol=1e-3, atol=1e-6)


def test_the_window_of_local_m_moves_by_one(inputs):
    weights = built(inputs, 2, alignment="monotonic")(*inputs, return_attention_scores=True)[1]
    for t in range(T):
        inside = np.abs(np.arange(S) - t) <= 2
        np.testing.assert_array_equal(np.asarray(weights)[:, t] != 0, np.broadcast_to(inside, (B, S)))
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-6)


def test_a_window_over_everything_is_global_attention(inputs):
    layer, everything = built(inputs, S, alignment="monotonic"), LuongAttention("general")
    everything.build(*(x.shape for x in inputs))
    everything.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(*inputs), everything(*inputs), rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_place(inputs):
    import tensorflow as tf

    layer = built(inputs, 3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(*inputs) ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
    assert len(gradients) == 3
    assert all(np.any(gradient) for gradient in gradients)


def test_places_are_exact_in_bfloat16():
    """Beyond 256, bfloat16 cannot tell one place from the next."""
    layer = LuongLocalAttention(1, "dot", alignment="monotonic", dtype="mixed_bfloat16")
    query, value = np.zeros((1, 1, 2), "float32"), np.zeros((1, 401, 2), "float32")
    state = (np.float32([[[307.0]]]),)
    layer.build(query.shape, value.shape)
    weights = layer.attend(query, layer.project_memory(value), value, None, state)[1]
    assert np.flatnonzero(weights).tolist() == [306, 307, 308]


@pytest.mark.parametrize("window", [0, 1.5])
def test_wrong_window(window):
    with pytest.raises(ValueError, match=rf"`window` must be a whole number of at least 1.*window={window}"):
        LuongLocalAttention(window)


def test_unknown_alignment():
    with pytest.raises(ValueError, match=r"`alignment` is unknown. Expected 'predictive' or .*'diagonal'"):
        LuongLocalAttention(2, alignment="diagonal")
