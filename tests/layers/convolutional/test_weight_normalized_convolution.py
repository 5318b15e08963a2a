"""WeightNormalizedConvolution: by hand, against NumPy and PyTorch, and how it begins."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import WeightNormalizedConvolution

B, T, C, F, SIZE = 2, 11, 5, 7, 3


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, C)).astype("float32")


def test_by_hand():
    """v = (3, 4) has length 5; with g = 10, W = (6, 8)."""
    layer = WeightNormalizedConvolution(1)
    layer.build((1, 1, 2))
    layer.kernel.assign([[[3.0], [4.0]]])
    layer.gain.assign([10.0])
    layer.bias.assign([1.0])
    outputs = layer(ops.array([[[1.0, 0.0], [0.5, 1.0]]]))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs)[0, :, 0], [7.0, 12.0], rtol=1e-6)


def test_begins_as_the_convolution_with_its_kernel(inputs):
    layer = WeightNormalizedConvolution(F, SIZE)
    outputs = layer(inputs)
    plain = keras.layers.Conv1D(F, SIZE)
    plain.build((None, None, C))
    plain.set_weights([ops.convert_to_numpy(layer.kernel), np.zeros(F)])
    np.testing.assert_allclose(outputs, plain(inputs), rtol=1e-4, atol=1e-5)


def test_the_length_of_the_kernel_does_not_count(inputs):
    layer = WeightNormalizedConvolution(F, SIZE)
    outputs = layer(inputs)
    layer.kernel.assign(layer.kernel * 7.0)
    np.testing.assert_allclose(layer(inputs), outputs, rtol=1e-4, atol=1e-5)


def test_against_torch(inputs, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    layer = WeightNormalizedConvolution(F, SIZE)
    layer.build(inputs.shape)
    layer.gain.assign(rng.normal(1, 0.3, F))
    layer.bias.assign(rng.normal(0, 1, F))
    theirs = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(C, F, SIZE))
    direction = ops.convert_to_numpy(layer.kernel).transpose(2, 1, 0)
    with torch.no_grad():
        theirs.parametrizations.weight.original1.copy_(torch.from_numpy(direction.copy()))
        gain = torch.from_numpy(ops.convert_to_numpy(layer.gain)).reshape(-1, 1, 1)
        theirs.parametrizations.weight.original0.copy_(gain)
        theirs.bias.copy_(torch.from_numpy(ops.convert_to_numpy(layer.bias)))
        expected = theirs(torch.from_numpy(inputs).transpose(1, 2)).transpose(1, 2)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["filters", "kernel_size"])
def test_wrong_sizes(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{name}=0"):
        WeightNormalizedConvolution(**{"filters": F, name: 0})


def test_built_by_the_first_step_of_a_model_of_ones_own(inputs):
    """There, variables are made while a graph is."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = WeightNormalizedConvolution(F, SIZE)

        def call(self, inputs):
            return self.layer(inputs)

    model = Model()
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    model.fit(inputs, np.zeros((B, T - SIZE + 1, F)), verbose=0)
    kernel = ops.convert_to_numpy(model.layer.kernel)
    lengths = np.sqrt(np.square(kernel).sum((0, 1)))
    np.testing.assert_allclose(ops.convert_to_numpy(model.layer.gain), lengths, rtol=1e-6)
