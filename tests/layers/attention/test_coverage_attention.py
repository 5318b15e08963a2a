"""CoverageAttention: against loops, its terms by hand, its error."""

import numpy as np
import pytest

from keras_attn.layers import BahdanauAttention, CoverageAttention

from ...bounds import assert_close

B, T, S, Q_DIM, V_DIM, K_DIM, UNITS = 2, 3, 5, 7, 11, 13, 17
# What is added up on the way to a number.
TERMS = T * (Q_DIM + V_DIM + K_DIM + UNITS + S)


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def built(inputs, rng, **keywords):
    layer = CoverageAttention(UNITS, **keywords)
    layer.build(*(inputs[name].shape for name in ("query", "value", "key")))
    layer.coverage_kernel.assign(rng.normal(size=(1, UNITS)))
    return layer


@pytest.mark.parametrize("fertility", [None, 2.0])
def test_against_numpy(inputs, rng, fertility):
    layer = built(inputs, rng, fertility=fertility)
    query, key = inputs["query"], inputs["key"]
    keep = rng.random((B, T, S)) < 0.8
    w_query, w_key, vector, w_coverage = (
        np.asarray(x)
        for x in (
            layer.query_projection.kernel,
            layer.key_projection.kernel,
            layer.vector,
            layer.coverage_kernel,
        )
    )
    _, weights = layer(**inputs, attention_mask=keep, return_attention_scores=True)
    for b in range(B):
        coverage, fertile = np.zeros(S), np.ones(S)
        if fertility:
            fertile = fertility / (1 + np.exp(-key[b] @ np.asarray(layer.fertility_kernel)[:, 0]))
        for t in range(T):
            hidden = query[b, t] @ w_query + key[b] @ w_key + (coverage / fertile)[:, None] * w_coverage
            energy = np.exp(np.tanh(hidden) @ vector[:, 0]) * keep[b, t]
            expected = energy / max(energy.sum(), 1e-30)
            assert_close(weights[b, t], expected, TERMS)
            coverage = coverage + expected


def test_without_its_term_it_is_bahdanaus(inputs, rng):
    layer, plain = built(inputs, rng), BahdanauAttention(UNITS)
    layer.coverage_kernel.assign(np.zeros((1, UNITS)))
    plain.build(*(inputs[name].shape for name in ("query", "value", "key")))
    by_shape = {weight.shape: weight for weight in layer.weights}
    for weight in plain.weights:
        weight.assign(by_shape[weight.shape])
    assert_close(layer(**inputs), plain(**inputs), TERMS)


def test_the_state_is_the_sum_of_the_weights(inputs, rng):
    layer = built(inputs, rng)
    _, weights = layer(**inputs, return_attention_scores=True)
    memory, total = layer.project_memory(inputs["key"]), np.zeros((B, 1, S))
    state = layer.initial_attention_state(memory)
    for t in range(T):
        assert_close(state[0], total, TERMS)
        state = layer.attend(inputs["query"][:, t : t + 1], memory, inputs["value"], None, state)[2]
        total += np.asarray(weights)[:, t : t + 1]


def test_a_term_that_punishes_spreads_the_attention(rng):
    """One key that always wins, but for what it has had already."""
    layer = CoverageAttention(1)
    query, key = np.zeros((1, 4, 1)), np.array([[[1.0], [0.5]]])
    layer.build(query.shape, key.shape)
    layer.key_projection.kernel.assign([[1.0]])
    layer.vector.assign([[8.0]])
    layer.coverage_kernel.assign([[-1.0]])
    _, weights = layer(query, key, return_attention_scores=True)
    assert np.argmax(weights[0], axis=-1).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("fertility", [0, -1.0])
def test_wrong_fertility(fertility):
    with pytest.raises(ValueError, match=rf"`fertility` is a number of.*above 0.*fertility={fertility}"):
        CoverageAttention(UNITS, fertility=fertility)
