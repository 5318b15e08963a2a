"""GatedConvolution: by hand, against NumPy and PyTorch, masks, step by step, its initial variance."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import GatedConvolution

B, T, C, F = 2, 11, 5, 7


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, C)).astype("float32")


@pytest.fixture
def mask():
    return np.arange(T) < np.array([[T], [T - 3]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def oracle(layer, inputs, left):
    """The formula of the class's docstring, one place at a time."""
    kernel, bias = layer.get_weights()
    outputs = np.zeros((B, T, layer.filters))
    for b, t in np.ndindex(B, T):
        hidden = bias.copy()
        for i in range(layer.kernel_size):
            place = t + i - left
            if 0 <= place < T:
                hidden = hidden + inputs[b, place] @ kernel[i]
        values, gates = np.split(hidden, 2)
        outputs[b, t] = values * sigmoid(gates)
    return outputs


def test_by_hand():
    """Two places, causal: values x_t + 10 x_{t-1}, gates 0 and so a factor of 1/2."""
    layer = GatedConvolution(1, 2, padding="causal")
    layer.build((1, 2, 1))
    layer.convolution.kernel.assign([[[10.0, 0.0]], [[1.0, 0.0]]])
    outputs = layer(np.array([[[4.0], [6.0]]]))
    assert ops.convert_to_numpy(outputs).tolist() == [[[2.0], [23.0]]]


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("padding", ["same", "causal"])
def test_against_numpy(inputs, mask, kernel_size, padding):
    layer = GatedConvolution(F, kernel_size, padding=padding)
    layer.build(inputs.shape)
    layer.convolution.bias.assign(np.linspace(-1, 1, 2 * F))
    left = kernel_size - 1 if padding == "causal" else (kernel_size - 1) // 2
    np.testing.assert_allclose(layer(inputs), oracle(layer, inputs, left), rtol=1e-4, atol=1e-5)
    expected = oracle(layer, np.where(mask[..., None], inputs, 0), left)
    np.testing.assert_allclose(layer(inputs, mask=mask), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_against_torch(inputs, kernel_size):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    layer = GatedConvolution(F, kernel_size)
    outputs = layer(inputs)
    kernel, bias = (torch.from_numpy(weight) for weight in layer.get_weights())
    places_last = torch.from_numpy(inputs).transpose(1, 2)
    hidden = torch.nn.functional.conv1d(places_last, kernel.permute(2, 1, 0), bias, padding="same")
    expected = torch.nn.functional.glu(hidden, dim=1).transpose(1, 2)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_step_by_step_equals_the_whole(inputs, kernel_size, policy):
    layer = GatedConvolution(F, kernel_size, padding="causal", dtype=policy)
    whole = layer(inputs)
    buffer = layer.empty_buffer(B)
    assert tuple(buffer.shape) == (B, 1, kernel_size - 1, C)
    tolerance = 1e-5 if policy == "float32" else 0.03
    for t in range(T):
        step, after = layer.step(inputs[:, t : t + 1], buffer)
        assert (after.shape, after.dtype) == (buffer.shape, buffer.dtype)
        assert step.dtype == whole.dtype
        buffer = after
        one, other = (ops.cast(x, "float32") for x in (step[:, 0], whole[:, t]))
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_a_step_inside_a_loop_that_has_forgotten_the_sizes(inputs):
    import tensorflow as tf

    layer = GatedConvolution(F, 3, padding="causal")
    layer(inputs)
    buffer = layer.empty_buffer(B)
    forgetful = tf.TensorSpec([None, None, None, C])
    step = tf.function(layer.step, input_signature=[tf.TensorSpec([None, 1, C]), forgetful], autograph=False)
    received, expected = step(inputs[:, :1], buffer), layer.step(inputs[:, :1], buffer)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_weight_normalization(inputs, mask, padding):
    """The convolution with W = g v / ‖v‖ written out."""
    layer = GatedConvolution(F, 3, padding=padding, weight_normalization=True)
    layer.build(inputs.shape)
    kernel, _, gain = layer.get_weights()
    np.testing.assert_allclose(gain, np.sqrt((kernel**2).sum(axis=(0, 1))), rtol=1e-5)
    gain = np.linspace(0.5, 2, 2 * F)
    layer.convolution.gain.assign(gain)
    plain = GatedConvolution(F, 3, padding=padding)
    plain.build(inputs.shape)
    plain.set_weights([kernel * gain / np.sqrt((kernel**2).sum(axis=(0, 1))), np.zeros(2 * F)])
    np.testing.assert_allclose(layer(inputs, mask=mask), plain(inputs, mask=mask), rtol=1e-4, atol=1e-5)


def test_hypotheses_have_buffers_of_their_own(inputs, rng):
    layer = GatedConvolution(F, 3, padding="causal")
    layer(inputs)
    steps, buffer = inputs[:, :7], rng.normal(size=(B, 7, 2, C)).astype("float32")
    together = layer.step(steps, buffer)
    for k in range(7):
        alone = layer.step(steps[:, k : k + 1], buffer[:, k : k + 1])
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one[:, k : k + 1], other, rtol=1e-5, atol=1e-6)


def test_causal_outputs_do_not_see_later_inputs(inputs):
    layer = GatedConvolution(F, 3, padding="causal")
    changed = inputs.copy()
    changed[:, 7:] = 100
    before, after = (ops.convert_to_numpy(layer(x)) for x in (inputs, changed))
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).all()


def test_what_a_mask_hides_does_not_count_not_even_nan(inputs, mask):
    layer = GatedConvolution(F, 3)
    expected = ops.convert_to_numpy(layer(inputs, mask=mask))
    received = layer(np.where(mask[..., None], inputs, np.nan).astype("float32"), mask=mask)
    np.testing.assert_array_equal(received, expected)
    assert not np.allclose(layer(inputs)[mask], expected[mask])


@pytest.mark.parametrize("symbolic", [False, True])
def test_an_implicit_mask_is_honoured_and_handed_on(symbolic):
    ids = np.array([[3, 1, 0, 0], [2, 5, 4, 6]])
    embedding, layer = keras.layers.Embedding(7, C, mask_zero=True), GatedConvolution(F, 3)
    expected = layer(ops.convert_to_tensor(embedding(ids)), mask=ids != 0)
    if symbolic:
        entry = keras.Input((None,), dtype="int32")
        symbol = layer(embedding(entry))
        assert symbol._keras_mask is not None
        outputs = keras.Model(entry, symbol)(ids)
    else:
        outputs = layer(embedding(ids))
        np.testing.assert_array_equal(outputs._keras_mask, ids != 0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


def test_outputs_begin_with_the_variance_of_the_inputs(rng):
    """What section 3.5 wants of the initial weights: with unit variance in, near unit variance out."""
    inputs = rng.normal(size=(1, 1009, 64)).astype("float32")
    layer = GatedConvolution(64, 3)
    variance = float(ops.var(layer(inputs)))
    assert 0.8 < variance < 1.5
    assert float(ops.var(layer.convolution.kernel)) == pytest.approx(4 / (3 * 64), rel=0.05)
    dropped = GatedConvolution(64, 3, dropout=0.25)
    dropped.build(inputs.shape)
    assert float(ops.var(dropped.convolution.kernel)) == pytest.approx(4 * 0.75 / (3 * 64), rel=0.05)


def test_dropout_falls_on_the_inputs_in_training_alone():
    """One output that sums 1,000 ones with a gate of 1/2; kept inputs are worth 2."""
    layer = GatedConvolution(1, 1, dropout=0.5)
    layer.build((1, 1, 1000))
    layer.convolution.kernel.assign(np.stack([np.ones(1000), np.zeros(1000)], axis=-1)[None])
    ones = np.ones((1, 1, 1000), "float32")
    assert float(layer(ones)[0, 0, 0]) == 500
    assert 400 < float(layer(ones, training=True)[0, 0, 0]) < 600
    assert float(layer(ones, training=True)[0, 0, 0]) != 500


def test_a_given_initializer_is_used(inputs):
    layer = GatedConvolution(F, 3, kernel_initializer="zeros")
    assert not ops.convert_to_numpy(layer(inputs)).any()


def test_stepping_needs_causal_padding(inputs):
    layer = GatedConvolution(F, 3)
    layer(inputs)
    with pytest.raises(
        ValueError, match=r"cannot run step by step.*Expected padding='causal'. Received: .*same"
    ):
        layer.step(inputs[:, :1], layer.empty_buffer(B))


@pytest.mark.parametrize("size", [0, -3, 2.0, "7"])
@pytest.mark.parametrize("name", ["filters", "kernel_size"])
def test_wrong_sizes(name, size):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{name}={size!r}"):
        GatedConvolution(**{"filters": F, "kernel_size": 3, name: size})


def test_unknown_padding():
    with pytest.raises(
        ValueError, match=r"`padding` is unknown. Expected 'same' or 'causal'. Received: .*valid"
    ):
        GatedConvolution(F, 3, padding="valid")
