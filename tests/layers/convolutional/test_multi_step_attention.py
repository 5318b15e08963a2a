"""MultiStepAttention: by hand, against NumPy and PyTorch, masks, hypotheses."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import MultiStepAttention

from ...bounds import assert_close

B, T, S, F, D, M = 2, 3, 5, 7, 11, 13
# What is added up on the way to a number.
TERMS = S + F + D + M


@pytest.fixture
def inputs(rng):
    shapes = {
        "inputs": (B, T, F),
        "target_embedding": (B, T, D),
        "value": (B, S, M),
        "key": (B, S, D),
    }
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


@pytest.fixture
def mask():
    return np.arange(S) < np.array([[S], [S - 2]])


@pytest.fixture
def layer(inputs, rng):
    layer = MultiStepAttention()
    layer(**inputs)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def oracle(layer, inputs, target_embedding, value, key, mask):
    """The formula of the class's docstring, row by row."""
    kernel, bias, output_kernel, output_bias = layer.get_weights()
    outputs, weights = np.zeros(inputs.shape), np.zeros((B, T, S))
    for b, t in np.ndindex(B, T):
        d = (inputs[b, t] @ kernel + bias + target_embedding[b, t]) * np.sqrt(0.5)
        scores = np.where(mask[b], np.exp(key[b] @ d - (key[b] @ d)[mask[b]].max()), 0)
        weights[b, t] = scores / scores.sum()
        length = mask[b].sum()
        context = length * np.sqrt(1 / length) * weights[b, t] @ value[b]
        outputs[b, t] = (context @ output_kernel + output_bias + inputs[b, t]) * np.sqrt(0.5)
    return outputs, weights


def test_by_hand():
    """One number everywhere: d = 0, so both of two keys weigh 1/2; c = sqrt(2) (1 + 3) / 2 = 2.828."""
    layer = MultiStepAttention()
    ones = ops.ones((1, 1, 1))
    layer.build((1, 1, 1), (1, 1, 1), (1, 2, 1))
    layer.query_projection.kernel.assign([[-1.0]])
    layer.output_projection.kernel.assign([[2.0]])
    outputs, weights = layer(ones, ones, ops.array([[[1.0], [3.0]]]), return_attention_scores=True)
    assert ops.convert_to_numpy(weights).tolist() == [[[0.5, 0.5]]]
    expected = (2 * 2 * np.sqrt(2) + 1) * np.sqrt(0.5)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), [[[expected]]], rtol=1e-6)


def test_against_numpy(layer, inputs, mask):
    outputs, weights = layer(**inputs, value_mask=mask, return_attention_scores=True)
    for received, expected in zip((outputs, weights), oracle(layer, **inputs, mask=mask), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)
    everything = np.ones((B, S), bool)
    expected, _ = oracle(layer, **inputs, mask=everything)
    np.testing.assert_allclose(layer(**inputs), expected, rtol=1e-4, atol=1e-4)


def test_against_torch(layer, inputs, mask):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    kernel, bias, output_kernel, output_bias = (torch.from_numpy(x) for x in layer.get_weights())
    h, g, value, key = (torch.from_numpy(x) for x in inputs.values())
    query = (torch.nn.functional.linear(h, kernel.T, bias) + g) * 0.5**0.5
    keep = torch.from_numpy(mask)[:, None]
    context = torch.nn.functional.scaled_dot_product_attention(query, key, value, keep, scale=1.0)
    context = context * keep.sum(-1, keepdim=True).sqrt()
    expected = (torch.nn.functional.linear(context, output_kernel.T, output_bias) + h) * 0.5**0.5
    np.testing.assert_allclose(layer(**inputs, value_mask=mask), expected, rtol=1e-4, atol=1e-4)


def test_places_are_hypotheses(layer, inputs, mask):
    together = layer(**inputs, value_mask=mask)
    for k in range(T):
        one = inputs | {name: inputs[name][:, k : k + 1] for name in ("inputs", "target_embedding")}
        assert_close(layer(**one, value_mask=mask)[:, 0], together[:, k], TERMS)


def test_a_source_that_is_all_padding_adds_nothing(layer, inputs):
    nothing = np.zeros((B, S), bool)
    outputs, weights = layer(**inputs, value_mask=nothing, return_attention_scores=True)
    assert not ops.convert_to_numpy(weights).any()
    expected = (layer.get_weights()[3] + inputs["inputs"]) * np.sqrt(0.5)
    assert_close(outputs, expected, TERMS)


def test_a_mask_that_got_lost(inputs):
    ids = keras.Input((None,), dtype="int32")
    value = ops.exp(keras.layers.Embedding(7, D, mask_zero=True)(ids) * 2.0)
    with pytest.raises(ValueError, match=r"padding mask of an input .* got lost.*value_mask=None"):
        MultiStepAttention()(keras.Input((None, F)), keras.Input((None, D)), value)


def test_keys_of_another_width(inputs):
    inputs["key"] = inputs["key"][..., 1:]
    with pytest.raises(ValueError, match=r"`key` must be as wide as `target_embedding`. Expected width 11"):
        MultiStepAttention()(**inputs)
