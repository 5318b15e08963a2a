"""LuongAttention: by hand, against NumPy and against Keras' own layers, its errors."""

import keras
import numpy as np
import pytest

from keras_attn.layers import BahdanauAttention, LuongAttention

from ...bounds import assert_close

B, T, S, Q_DIM, V_DIM, K_DIM, UNITS = 2, 3, 5, 7, 11, 13, 17
# What is added up on the way to a number.
TERMS = Q_DIM + V_DIM + K_DIM + UNITS + S


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def softmax(logits, keep):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True)) * keep
    return exponentials / np.maximum(exponentials.sum(axis=-1, keepdims=True), 1e-30)


def check(layer, inputs, logits, rng):
    keep = rng.random((B, T, S)) < 0.7
    context, weights = layer(**inputs, attention_mask=keep, return_attention_scores=True)
    expected = softmax(logits, keep)
    assert_close(weights, expected, TERMS)
    assert_close(context, expected @ inputs["value"], TERMS)


def test_by_hand():
    """Dot: logits 1·ln 3 and 1·0. General with W = 2: twice that."""
    query, value = np.array([[[1.0]]]), np.array([[[np.log(3.0)], [0.0]]])
    _, weights = LuongAttention()(query, value, return_attention_scores=True)
    np.testing.assert_allclose(weights, [[[0.75, 0.25]]], rtol=1e-6)
    layer = LuongAttention("general")
    layer.build(query.shape, value.shape)
    layer.key_projection.kernel.assign([[2.0]])
    context, weights = layer(query, value, return_attention_scores=True)
    np.testing.assert_allclose(weights, [[[0.9, 0.1]]], rtol=1e-6)
    np.testing.assert_allclose(context, [[[0.9 * np.log(3.0)]]], rtol=1e-6)


def test_dot_against_numpy(inputs, rng):
    inputs["key"] = inputs["key"][..., :Q_DIM]
    check(LuongAttention(), inputs, inputs["query"] @ inputs["key"].swapaxes(1, 2), rng)


def test_general_against_numpy(inputs, rng):
    layer = LuongAttention("general")
    layer.build(*(x.shape for x in (inputs["query"], inputs["value"], inputs["key"])))
    kernel = np.asarray(layer.key_projection.kernel)
    assert kernel.shape == (K_DIM, Q_DIM)
    check(layer, inputs, np.einsum("btq,kq,bsk->bts", inputs["query"], kernel, inputs["key"]), rng)


def test_concat_against_numpy(inputs, rng):
    """One matrix W over [query; key], as in the paper."""
    layer = LuongAttention("concat", units=UNITS)
    layer.build(*(x.shape for x in (inputs["query"], inputs["value"], inputs["key"])))
    kernel = np.concatenate([layer.query_projection.kernel, layer.key_projection.kernel])
    logits = np.zeros((B, T, S))
    for b, t, s in np.ndindex(B, T, S):
        both = np.concatenate([inputs["query"][b, t], inputs["key"][b, s]])
        logits[b, t, s] = np.tanh(both @ kernel) @ np.asarray(layer.vector)[:, 0]
    check(layer, inputs, logits, rng)


def test_concat_is_bahdanaus_score(inputs):
    layer, other = LuongAttention("concat", units=UNITS), BahdanauAttention(UNITS)
    for each in (layer, other):
        each.build(*(x.shape for x in (inputs["query"], inputs["value"], inputs["key"])))
    other.query_projection.kernel.assign(layer.query_projection.kernel)
    other.key_projection.kernel.assign(layer.key_projection.kernel)
    other.vector.assign(layer.vector)
    np.testing.assert_array_equal(layer(**inputs), other(**inputs))


@pytest.mark.parametrize("score", ["dot", "general"])
def test_the_scale_begins_at_one_and_multiplies_the_logits(inputs, rng, score):
    inputs["key"] = inputs["key"][..., :Q_DIM]
    shapes = [x.shape for x in (inputs["query"], inputs["value"], inputs["key"])]
    plain, layer = LuongAttention(score), LuongAttention(score, scale=True)
    plain.build(*shapes), layer.build(*shapes)
    if score == "general":
        layer.key_projection.kernel.assign(plain.key_projection.kernel)
    np.testing.assert_allclose(layer(**inputs), plain(**inputs), rtol=1e-6)
    layer.gain.assign(0.3)
    logits = 0.3 * plain.logits(inputs["query"], plain.project_memory(inputs["key"]), ())
    check(layer, inputs, np.asarray(logits), rng)


@pytest.mark.parametrize("scale", [False, True])
def test_dot_equals_keras_attention(rng, scale):
    query, value = rng.normal(size=(B, T, 7)), rng.normal(size=(B, S, 7))
    value_mask = np.array([[True] * S, [True, False, True, True, False]])
    theirs, ours = keras.layers.Attention(use_scale=scale), LuongAttention(scale=scale)
    theirs.build([query.shape, value.shape]), ours.build(query.shape, value.shape)
    if scale:
        theirs.scale.assign(0.7), ours.gain.assign(0.7)
    expected = theirs([query, value], mask=[None, value_mask], return_attention_scores=True)
    received = ours(query, value, value_mask=value_mask, return_attention_scores=True)
    for one, other in zip(received, expected, strict=True):
        assert_close(one, other, TERMS)


def test_concat_equals_keras_attention_when_the_projections_are_identities(rng):
    query, value = rng.normal(size=(B, T, 7)), rng.normal(size=(B, S, 7))
    theirs, ours = keras.layers.Attention(score_mode="concat"), LuongAttention("concat", units=7)
    theirs.build([query.shape, value.shape]), ours.build(query.shape, value.shape)
    theirs.concat_score_weight.assign(0.6)
    ours.query_projection.kernel.assign(np.eye(7)), ours.key_projection.kernel.assign(np.eye(7))
    ours.vector.assign(np.full((7, 1), 0.6))
    assert_close(ours(query, value), theirs([query, value]), TERMS)


def test_memory_is_projected_once(inputs):
    for score, units, width in (("general", None, Q_DIM), ("concat", UNITS, UNITS)):
        layer = LuongAttention(score, units=units)
        expected = layer(**inputs, return_attention_scores=True)
        memory = layer.project_memory(inputs["key"])
        assert memory.shape == (B, S, width)
        context, weights, state = layer.attend(inputs["query"], memory, inputs["value"])
        assert_close(context, expected[0], TERMS)
        assert_close(weights, expected[1], TERMS)
        assert state == ()


def test_projections_of_equal_width_begin_with_different_numbers():
    layer = LuongAttention("concat", units=UNITS)
    layer.build((B, T, 7), (B, S, 7))
    assert not np.array_equal(layer.query_projection.kernel, layer.key_projection.kernel)


def test_an_unknown_score():
    with pytest.raises(ValueError, match=r"`score` is unknown. Expected one of .*Received: score='cosine'"):
        LuongAttention("cosine")


@pytest.mark.parametrize("units", [None, 0, 2.0])
def test_concat_needs_units(units):
    with pytest.raises(ValueError, match=rf"`units` must be a whole number.*concat.*units={units!r}"):
        LuongAttention("concat", units=units)


def test_units_where_there_are_none():
    with pytest.raises(ValueError, match=r"`units` belongs to score='concat'.*units=17, score='general'"):
        LuongAttention("general", units=UNITS)


def test_a_scale_where_there_is_none():
    with pytest.raises(ValueError, match=r"`scale` does nothing for score='concat'.*Leave it out"):
        LuongAttention("concat", units=UNITS, scale=True)


def test_dot_of_unequal_widths_names_both(inputs):
    with pytest.raises(ValueError, match=r"Expected width 7. Received: query \(2, 3, 7\), key \(2, 5, 13\)"):
        LuongAttention()(**inputs)
