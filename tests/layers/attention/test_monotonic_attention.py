"""MonotonicAttention: against a plain recursion, hard walks, noise in training alone, its errors."""

import keras
import numpy as np
import pytest

from keras_attn.layers import (
    AttentionRNN,
    BahdanauAttention,
    CoverageAttention,
    LuongAttention,
    LuongLocalAttention,
    MonotonicAttention,
)

B, T, S, D, UNITS = 2, 3, 5, 7, 11


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=(B, size, D)).astype("float32") for size in (T, S)]


def scores(layer, query, value):
    """The logits of the attention within, and r."""
    within = layer.attention
    logits = within.logits(query, within.project_memory(value), ())
    return np.asarray(logits) + float(layer.logit_bias.value)


def recursion(logits, keep):
    """Weights of all queries by the recursion over queries and places, O(T S)."""
    p = keep / (1 + np.exp(-logits))
    weights = np.zeros(p.shape)
    for b in range(B):
        before = np.eye(S)[0]
        for t in range(T):
            reach = 0.0
            for s in range(S):
                reach = (reach - weights[b, t, s - 1] if s else 0.0) + before[s]
                weights[b, t, s] = p[b, t, s] * reach
            before = weights[b, t] if keep[b, t].any() else before
    return weights


@pytest.mark.parametrize("mode", ["parallel", "recursive"])
@pytest.mark.parametrize("within", [lambda: BahdanauAttention(UNITS, normalize=True), LuongAttention])
def test_against_the_recursion(inputs, rng, mode, within):
    layer = MonotonicAttention(within(), mode, score_bias=-0.3)
    keep = rng.random((B, T, S)) < 0.8
    keep[0, 1] = False
    context, weights = layer(*inputs, attention_mask=keep, return_attention_scores=True)
    expected = recursion(scores(layer, *inputs), keep)
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(context, expected @ inputs[1], rtol=1e-3, atol=1e-5)
    assert 0 < expected[1].sum(axis=-1).min() < expected[1].sum(axis=-1).max() < 1


def test_hard_never_goes_back_and_stops_at_the_first_positive_score(inputs):
    layer = MonotonicAttention(LuongAttention(), "hard", score_bias=0.2)
    _, weights = layer(*inputs, return_attention_scores=True)
    logits = scores(layer, *inputs)
    for b in range(B):
        place = 0
        for t in range(T):
            stops = [s for s in range(place, S) if logits[b, t, s] > 0]
            expected = np.eye(S)[stops[0]] if stops else np.zeros(S)
            np.testing.assert_array_equal(weights[b, t], expected)
            place = stops[0] if stops else S


def test_hard_is_what_the_soft_ones_become_for_large_scores(inputs):
    large = [100 * inputs[0], inputs[1]]
    _, hard = MonotonicAttention(LuongAttention(), "hard")(*large, return_attention_scores=True)
    _, soft = MonotonicAttention(LuongAttention(), "recursive")(*large, return_attention_scores=True)
    np.testing.assert_allclose(soft, hard, atol=1e-3)


def test_keys_masked_at_the_left_are_passed_by(inputs):
    query, value = inputs
    layer = MonotonicAttention(LuongAttention(), "recursive")
    _, expected = layer(query, value, return_attention_scores=True)
    padded = np.concatenate([value[:, :2], value], axis=1)
    mask = np.broadcast_to(np.arange(S + 2) >= 2, (B, S + 2))
    _, weights = layer(query, padded, value_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(np.asarray(weights)[..., 2:], expected, rtol=1e-5, atol=1e-7)


def test_noise_acts_in_training_alone(inputs):
    layer = MonotonicAttention(LuongAttention(), sigmoid_noise=1.0, seed=3)
    quiet = MonotonicAttention(LuongAttention())(*inputs)
    np.testing.assert_array_equal(layer(*inputs), quiet)
    np.testing.assert_array_equal(layer(*inputs, training=False), quiet)
    first, second = layer(*inputs, training=True), layer(*inputs, training=True)
    assert not np.allclose(first, quiet)
    assert not np.allclose(first, second)
    again = MonotonicAttention(LuongAttention(), sigmoid_noise=1.0, seed=3)
    np.testing.assert_array_equal(again(*inputs, training=True), first)


def test_the_mode_of_inference(inputs):
    both = MonotonicAttention(LuongAttention(), "recursive", inference_mode="hard")
    soft, hard = (MonotonicAttention(LuongAttention(), mode) for mode in ("recursive", "hard"))
    np.testing.assert_array_equal(both(*inputs, training=True), soft(*inputs))
    np.testing.assert_array_equal(both(*inputs), hard(*inputs))


def test_the_attention_within_keeps_its_state(inputs):
    layer = MonotonicAttention(CoverageAttention(UNITS), "recursive")
    layer.build(*(x.shape for x in inputs))
    memory = layer.project_memory(inputs[1])
    state = layer.initial_attention_state(memory)
    total = np.zeros((B, 1, S))
    for t in range(T):
        _, weights, state = layer.attend(inputs[0][:, t : t + 1], memory, inputs[1], None, state)
        total += weights
        np.testing.assert_array_equal(state[0], weights)
        np.testing.assert_allclose(state[1], total, rtol=1e-6)


def test_only_noise_needs_a_generator(inputs):
    quiet, noisy = MonotonicAttention(LuongAttention()), MonotonicAttention(LuongAttention(), sigmoid_noise=1)
    assert len(quiet.non_trainable_variables) == 0
    assert len(noisy.non_trainable_variables) == 1


def test_learns_a_diagonal(rng):
    """Position codes that line up: trained with noise, then hard, it walks along the diagonal."""
    keras.utils.set_random_seed(3)
    codes = np.eye(S, dtype="float32")[None].repeat(8 * 150, axis=0)  # a step each, in one epoch
    layer = MonotonicAttention(LuongAttention("general"), inference_mode="hard", sigmoid_noise=1.0, seed=5)
    query, value = keras.Input((S, S)), keras.Input((S, S))
    model = keras.Model([query, value], layer(query, value))
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit([codes, codes], codes, batch_size=8, verbose=0)
    codes = codes[:8]
    np.testing.assert_array_equal(model.predict([codes, codes], verbose=0), codes)


@pytest.mark.parametrize(
    "attention", [keras.layers.Attention(), LuongLocalAttention(2), MonotonicAttention(LuongAttention())]
)
def test_an_attention_with_weights_of_its_own_is_refused(attention):
    with pytest.raises(ValueError, match=r"`attention` must be scored by `logits`.*Received: attention="):
        MonotonicAttention(attention)


@pytest.mark.parametrize("name", ["mode", "inference_mode"])
def test_an_unknown_mode(name):
    with pytest.raises(ValueError, match=rf"`{name}` is unknown. Expected one of .*Received: {name}='soft'"):
        MonotonicAttention(LuongAttention(), **{name: "soft"})


def test_negative_noise():
    with pytest.raises(ValueError, match=r"`sigmoid_noise` is a standard deviation.*sigmoid_noise=-1"):
        MonotonicAttention(LuongAttention(), sigmoid_noise=-1)


def test_noise_is_drawn_once_for_a_whole_sequence(inputs):
    """Which is what lets it act inside a compiled loop; a generator within would not."""
    layer, again = (MonotonicAttention(LuongAttention(), sigmoid_noise=0.5, seed=3) for _ in range(2))
    for one in (layer, again):
        one.build(*(x.shape for x in inputs))
    noise = keras.ops.convert_to_numpy(again.draw_noise(*inputs, training=True))
    assert noise.shape == (B, T, S)
    assert 0.3 < noise.std() < 0.7
    memory, state = layer.project_memory(inputs[1]), layer.initial_attention_state(inputs[1])
    rows = []
    for t in range(T):
        step = inputs[0][:, t : t + 1], memory, inputs[1], None, state, True, noise[:, t : t + 1]
        _, weights, state = layer.attend(*step)
        rows.append(keras.ops.convert_to_numpy(weights))
    _, expected = layer(*inputs, training=True, return_attention_scores=True)
    np.testing.assert_allclose(np.concatenate(rows, axis=1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "training"),
    [({"sigmoid_noise": 1.0}, False), ({}, True), ({"sigmoid_noise": 1.0, "mode": "hard"}, True)],
)
def test_no_noise_is_drawn_where_none_acts(inputs, settings, training):
    assert MonotonicAttention(LuongAttention(), **settings).draw_noise(*inputs, training=training) is None


@pytest.mark.parametrize("order", ["bahdanau", "luong"])
def test_noise_acts_in_an_rnn_in_training_alone(inputs, order):
    noisy, quiet = (
        AttentionRNN(
            keras.layers.GRUCell(D),
            MonotonicAttention(LuongAttention(), sigmoid_noise=noise, seed=3),
            order=order,
        )
        for noise in (1.0, 0.0)
    )
    expected = quiet(*inputs)
    noisy.build(*(x.shape for x in inputs))
    for one, other in zip(noisy.trainable_weights, quiet.trainable_weights, strict=True):
        one.assign(other)
    np.testing.assert_allclose(noisy(*inputs), expected, rtol=1e-5, atol=1e-6)
    first, second = noisy(*inputs, training=True), noisy(*inputs, training=True)
    assert not np.allclose(first, expected)
    assert not np.allclose(first, second)
