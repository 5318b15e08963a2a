"""ConvolutionalSeq2Seq: PyTorch, gradients, attending layers, positions, first weights, what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.models import ConvolutionalSeq2Seq

from ..few import few
from ..lazily import Lazily
from ..model_rows import ROWS, SOURCE, TARGET, V, make

D = 5
SMALL = ROWS["convolutional"]


@pytest.fixture(scope="module")
def models():
    return Lazily(lambda kind: make(f"convolutional/{kind}" if kind != "small" else "convolutional"))


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


@pytest.mark.parametrize("kind", few(["small", "all_widths", "some_attention"], "some_attention"))
def test_against_torch(models, kind):
    """The whole model in PyTorch's functions, row by row, so that there are no pads."""
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    model, nn, half = models[kind], torch.nn.functional, 0.5**0.5
    settings = model.get_config()
    known = {layer.name: [torch.from_numpy(x) for x in layer.get_weights()] for layer in model.layers}

    def dense(name, x):
        return x if name not in known else nn.linear(x, known[name][0].T, known[name][1])

    def convolved(name, x, left, right):
        kernel, bias = known[name]
        return nn.glu(nn.conv1d(nn.pad(x.T, (left, right)), kernel.permute(2, 1, 0), bias), dim=0).T

    def embedded(side, ids):
        return known[f"{side}_embedding"][0][ids] + known[f"{side}_positions"][0][: len(ids)]

    def logits(source, target):
        e, g = embedded("source", source), embedded("target", target)
        h = dense("encoder_input", e)
        for depth, (_, size) in enumerate(settings["encoder_convolutions"]):
            outputs = convolved(f"encoder_convolution_{depth}", h, (size - 1) // 2, size // 2)
            h = (outputs + dense(f"encoder_residual_{depth}", h)) * half
        z = dense("encoder_output", h)
        d = dense("decoder_input", g)
        for depth, (_, size) in enumerate(settings["decoder_convolutions"]):
            outputs = c = convolved(f"decoder_convolution_{depth}", d, size - 1, 0)
            if settings["decoder_attention"] is True or settings["decoder_attention"][depth]:
                kernel, bias, output_kernel, output_bias = known[f"attention_{depth}"]
                weights = torch.softmax((nn.linear(c, kernel.T, bias) + g) * half @ z.T, dim=-1)
                context = weights @ ((z + e) * half) * len(z) * (1 / len(z)) ** 0.5
                outputs = (nn.linear(context, output_kernel.T, output_bias) + c) * half
            d = (outputs + dense(f"decoder_residual_{depth}", d)) * half
        return dense("logits", dense("decoder_output", d))

    received = call(model)
    for row, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
        expected = logits(torch.from_numpy(source[source > 0]).long(), torch.from_numpy(target).long())
        np.testing.assert_allclose(received[row], expected, rtol=1e-4, atol=2e-5)


def test_the_encoder_gets_a_smaller_gradient(models):
    """A quarter with two attentions: what the encoder learns is 1/4 of what it does without the scaling."""
    model = models["small"]
    encoder = [w for layer in model.layers if layer.name.startswith("encoder") for w in layer.weights]
    found = []
    for factor in (0.25, 1.0):
        scaling = model.get_layer("gradient")
        assert scaling.factor == 0.25
        scaling.factor = factor
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model({"source": SOURCE, "target": TARGET})))
        found.append(tape.gradient(loss, encoder))
        scaling.factor = 0.25
    for smaller, larger in zip(*found, strict=True):
        assert np.any(larger)
        np.testing.assert_allclose(smaller, 0.25 * larger, rtol=1e-3, atol=1e-4)


def test_which_layers_attend(models):
    """The others have no attention, send the encoder no gradient and are not in the alignment."""
    model = models["some_attention"]
    assert [layer.name for layer in model.layers if layer.name.startswith("attention")] == ["attention_1"]
    assert model.get_layer("gradient").factor == 0.5
    attention, seen = model.get_layer("attention_1"), []
    attend = attention.call
    attention.call = lambda *inputs, **options: seen.append(attend(*inputs, **options)) or seen[-1]
    step = model.step(TARGET[:, :1], 0, *model.start(SOURCE))
    attention.call = attend
    np.testing.assert_array_equal(step.alignment, seen[0][1])


def test_what_older_files_hold_makes_the_model_that_they_meant(models):
    config = models["small"].get_config()
    assert config.pop("decoder_attention") is True
    assert ConvolutionalSeq2Seq.from_config(config).get_config() == models["small"].get_config()


def test_the_first_weights_keep_the_variance(rng):
    """Deep and wide, so that a factor a layer would show; the embeddings are N(0, 0.1²) twice."""
    convolutions = [(64, 3)] * 8
    model = ConvolutionalSeq2Seq(
        19, V, embedding_dim=64, encoder_convolutions=convolutions, decoder_convolutions=convolutions
    )
    logits = call(model, rng.integers(3, 19, (7, 29)), rng.integers(3, V, (7, 31)))
    assert 0.1 < logits.std() < 0.6
    assert abs(float(np.std(model.get_layer("source_embedding").embeddings)) - 0.1) < 0.01


def test_more_places_than_positions(models):
    model = models["small"]
    with pytest.raises(ValueError, match=r"'source_positions' go beyond its table. Expected .* 0 to 10"):
        call(model, source=np.ones((1, 12), np.int32))
    with pytest.raises(ValueError, match=r"'target_positions' go beyond its table. Expected .* 0 to 12"):
        call(model, target=np.ones((3, 14), np.int32))
    with pytest.raises(ValueError, match=r"'target_positions' go beyond its table.*start_position=13"):
        model.step(TARGET[:, :1], 13, *model.start(SOURCE))


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`tie_target_embedding` needs .* Expected output_dim=5. .*=3"):
        ConvolutionalSeq2Seq(19, V, embedding_dim=D, **SMALL, output_dim=3, tie_target_embedding=True)
    with pytest.raises(ValueError, match=r"`decoder_convolutions` must say .* at least one. Received"):
        ConvolutionalSeq2Seq(19, V, embedding_dim=D, decoder_convolutions=[])
    with pytest.raises(ValueError, match=r"`encoder_convolutions` must say what every layer is.*\(7,\)"):
        ConvolutionalSeq2Seq(19, V, embedding_dim=D, encoder_convolutions=[(7,)])
    for attention in ([True], [False, False], [1, 0], False, None):
        with pytest.raises(ValueError, match=r"`decoder_attention` must say .* 2 booleans .* Received"):
            ConvolutionalSeq2Seq(19, V, embedding_dim=D, **SMALL, decoder_attention=attention)
    with pytest.raises(ValueError, match=r"`embedding_dim` must be a whole number of at least 1"):
        ConvolutionalSeq2Seq(19, V, embedding_dim=0)
