"""LocationSensitiveAttention: against loops, by hand, its errors."""

import numpy as np
import pytest

from keras_attn.layers import LocationSensitiveAttention

B, T, S, Q_DIM, V_DIM, UNITS, FILTERS = 2, 3, 11, 7, 5, 17, 13


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=shape).astype("float32") for shape in ((B, T, Q_DIM), (B, S, V_DIM))]


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("cumulative", [False, True])
def test_against_numpy(inputs, rng, kernel_size, cumulative):
    query, value = inputs
    layer = LocationSensitiveAttention(UNITS, FILTERS, kernel_size, cumulative=cumulative)
    layer.build(query.shape, value.shape)
    layer.bias.assign(rng.normal(size=UNITS))
    layer.convolution.kernel.assign(rng.normal(size=(kernel_size, 1, FILTERS)))
    w_query, w_key, w_location, filters = (
        np.asarray(x.kernel)
        for x in (layer.query_projection, layer.key_projection, layer.location_projection, layer.convolution)
    )
    _, weights = layer(query, value, return_attention_scores=True)
    reach = kernel_size // 2
    for b in range(B):
        history = np.zeros(S)
        for t in range(T):
            padded = np.pad(history, reach)
            features = np.array([padded[s : s + kernel_size] @ filters[:, 0] for s in range(S)])
            hidden = query[b, t] @ w_query + value[b] @ w_key + features @ w_location + np.asarray(layer.bias)
            expected = softmax(np.tanh(hidden) @ np.asarray(layer.vector)[:, 0])
            np.testing.assert_allclose(weights[b, t], expected, rtol=1e-3, atol=1e-6)
            history = history + expected if cumulative else expected


def test_it_can_walk_over_keys_that_look_the_same():
    """A filter that looks one place back moves the weight one place on at each step."""
    layer = LocationSensitiveAttention(1, filters=1, kernel_size=3)
    query, value = np.zeros((1, 4, 1)), np.array([[[1.0], [0.0], [0.0], [0.0], [0.0]]])
    layer.build(query.shape, value.shape)
    layer.query_projection.kernel.assign([[0.0]])
    layer.key_projection.kernel.assign([[1.0]])
    layer.location_projection.kernel.assign([[5.0]])
    layer.convolution.kernel.assign([[[1.0]], [[-1.0]], [[0.0]]])
    layer.vector.assign([[20.0]])
    _, weights = layer(query, value, return_attention_scores=True)
    assert np.argmax(weights[0], axis=-1).tolist() == [0, 1, 2, 3]


def test_normalised_has_one_bias(inputs):
    plain, layer = (LocationSensitiveAttention(UNITS, normalize=normalize) for normalize in (False, True))
    for each in (plain, layer):
        each.build(*(x.shape for x in inputs))
    assert len(layer.weights) == len(plain.weights) + 1  # g


def test_sharpening_and_smoothing_by_hand():
    """Logits 0 and log 3: the softmax gives 1/4, 3/4; squared 1/10, 9/10; smoothed 1/2 to 3/4."""
    expected = {(1.0, False): [0.25, 0.75], (2.0, False): [0.1, 0.9], (1.0, True): [0.4, 0.6]}
    query, value = np.zeros((1, 1, 1)), np.array([[[0.0], [1.0]]])
    for (sharpening, smooth), weights in expected.items():
        layer = LocationSensitiveAttention(1, 1, 1, sharpening=sharpening, smooth=smooth)
        layer.build(query.shape, value.shape)
        layer.key_projection.kernel.assign([[1.0]])
        layer.vector.assign([[np.log(3) / np.tanh(1)]])
        received = layer(query, value, return_attention_scores=True)[1]
        np.testing.assert_allclose(received, [[weights]], rtol=1e-5)


def test_smoothing_leaves_out_what_is_masked(inputs):
    layer = LocationSensitiveAttention(UNITS, FILTERS, 3, smooth=True)
    value_mask = np.arange(S) < [[7], [0]]
    weights = np.asarray(layer(*inputs, value_mask=value_mask, return_attention_scores=True)[1])
    assert (weights[0, :, 7:] == 0).all()
    assert (weights[1] == 0).all()
    np.testing.assert_allclose(weights[0].sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("sharpening", [0, -1.0])
def test_wrong_sharpening(sharpening):
    with pytest.raises(ValueError, match=rf"`sharpening` multiplies.*above 0.*sharpening={sharpening}"):
        LocationSensitiveAttention(UNITS, sharpening=sharpening)


@pytest.mark.parametrize("filters", [0, 1.5])
def test_wrong_filters(filters):
    with pytest.raises(ValueError, match=rf"`filters` must be a whole number.*filters={filters}"):
        LocationSensitiveAttention(UNITS, filters=filters)


@pytest.mark.parametrize("kernel_size", [0, 4, 3.0])
def test_wrong_kernel_size(kernel_size):
    with pytest.raises(ValueError, match=rf"`kernel_size` must have a middle.*kernel_size={kernel_size}"):
        LocationSensitiveAttention(UNITS, kernel_size=kernel_size)
