"""ConvolutionalSeq2Seq: the invariants of every decoder, PyTorch, positions, first weights, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode
from keras_attn.models import ConvolutionalSeq2Seq

from .. import bounds
from ..few import few
from ..lazily import Lazily

V, D = 23, 5
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4, 8], [1, 10, 3, 3, 22, 6], [1, 21, 4, 0, 0, 0]], np.int32)
B, T = TARGET.shape
TERMS = 3 * (2 * D + 3 * 7 + 2 * T)  # three convolutions over three places, and attention
SMALL = {"encoder_convolutions": [(7, 3)], "decoder_convolutions": [(7, 3), (7, 3)]}
KINDS = {
    "small": SMALL,
    "all_widths": {
        "encoder_convolutions": [(7, 3), (11, 2), (11, 1)],
        "decoder_convolutions": [(7, 3), (13, 1), (13, 4)],
        "output_dim": 3,
    },
    "normalized": {**SMALL, "weight_normalization": True},
    "tied": {**SMALL, "tie_target_embedding": True},
    "some_attention": {
        "encoder_convolutions": [(7, 2)],
        "decoder_convolutions": [(7, 3), (13, 2), (13, 1)],
        "decoder_attention": [False, True, False],
    },
    "one_layer": {"encoder_convolutions": [(7, 1)], "decoder_convolutions": [(11, 5)]},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
ONE_KIND = pytest.mark.parametrize("kind", few(KINDS, "some_attention"))


@pytest.fixture(scope="module")
def models():
    """One of each kind, with random weights."""
    return Lazily(lambda kind: make(np.random.default_rng(7), **KINDS[kind]))


def make(rng, **settings):
    settings = {"max_source_length": 11, "max_target_length": 13, **settings}
    model = ConvolutionalSeq2Seq(19, V, embedding_dim=D, **settings)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS)


@EVERY_KIND
def test_step_by_step_equals_the_full_pass(models, kind):
    model = models[kind]
    logits = call(model)
    assert logits.shape == (B, T, V)
    assert logits.dtype == np.float32
    state, memory = model.start(SOURCE)
    shapes = [leaf.shape for leaf in state]
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], tf.constant(position), state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
        np.testing.assert_allclose(np.sum(step.alignment, axis=-1), 1, rtol=1e-5)
        assert (step.alignment.numpy()[:, 0][SOURCE == 0] == 0).all()
    assert [leaf.shape for leaf in state] == shapes


def test_hypotheses_of_a_row_do_not_meet(models, rng):
    model = models["all_widths"]
    state, memory = model.start(SOURCE)
    first, second = rng.integers(4, V, (2, B, 2))
    doubled = keras.tree.map_structure(lambda leaf: tf.repeat(leaf, 2, axis=1), state)
    together = model.step(second, 1, model.step(first, 0, doubled, memory).state, memory)
    for k in range(2):
        alone = model.step(first[:, k : k + 1], 0, state, memory)
        alone = model.step(second[:, k : k + 1], 1, alone.state, memory)
        assert_close(together.logits[:, k], alone.logits[:, 0])
        assert_close(together.alignment[:, k], alone.alignment[:, 0])


@EVERY_KIND
def test_padding_and_future_tokens_change_nothing(models, kind):
    model = models[kind]
    logits = call(model)
    assert_close(call(model, np.pad(SOURCE, ((0, 0), (0, 5)))), logits)
    assert_close(call(model, target=np.pad(TARGET, ((0, 0), (0, 5))))[:, :T], logits)
    for position in (0, T - 2):
        changed = TARGET.copy()
        changed[:, position + 1 :] = (changed[:, position + 1 :] + 5) % V
        other = call(model, target=changed)
        assert_close(other[:, : position + 1], logits[:, : position + 1])
        assert not np.allclose(other[:, position + 1], logits[:, position + 1])


def test_permuting_the_batch_permutes_the_result(models):
    model, order = models["all_widths"], [2, 0, 1]
    assert_close(call(model, SOURCE[order], TARGET[order]), call(model)[order])


def test_every_source_token_and_its_place_matter(models):
    model = models["small"]
    logits = call(model)
    for place in range(SOURCE.shape[1]):
        changed = SOURCE.copy()
        changed[0, place] = 18
        assert not np.allclose(call(model, changed)[0], logits[0])
    assert not np.allclose(call(model, SOURCE[:, ::-1])[0], logits[0])


@ONE_KIND
def test_greedy_in_a_graph_is_greedy_of_the_rows(models, kind):
    model = models[kind]
    run = tf.function(
        lambda source: decode(model, source, start_id=1, end_id=2, max_length=7).tokens,
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    together = run(SOURCE).numpy()
    for row in range(B):
        alone = run(SOURCE[row : row + 1, : np.count_nonzero(SOURCE[row])]).numpy()
        np.testing.assert_array_equal(alone[0], together[row, :, : alone.shape[-1]])
        assert not together[row, :, alone.shape[-1] :].any()


@pytest.mark.parametrize("kind", few(["small", "all_widths", "some_attention"], "some_attention"))
def test_against_torch(models, kind):
    """The whole model in PyTorch's functions, row by row, so that there are no pads."""
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    model, nn, half = models[kind], torch.nn.functional, 0.5**0.5
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
        for depth, (_, size) in enumerate(KINDS[kind]["encoder_convolutions"]):
            outputs = convolved(f"encoder_convolution_{depth}", h, (size - 1) // 2, size // 2)
            h = (outputs + dense(f"encoder_residual_{depth}", h)) * half
        z = dense("encoder_output", h)
        d = dense("decoder_input", g)
        for depth, (_, size) in enumerate(KINDS[kind]["decoder_convolutions"]):
            outputs = c = convolved(f"decoder_convolution_{depth}", d, size - 1, 0)
            if KINDS[kind].get("decoder_attention", [True] * 3)[depth]:
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
    """Of two attentions a quarter: what the encoder learns is 1/4 of what it does without the scaling."""
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


def test_dropout_acts_in_training_alone():
    model = ConvolutionalSeq2Seq(19, V, embedding_dim=D, **SMALL, dropout=0.5)
    inputs = {"source": SOURCE, "target": TARGET}
    np.testing.assert_array_equal(model(inputs), model(inputs))
    assert not np.allclose(model(inputs, training=True), model(inputs, training=True))


@ONE_KIND
def test_config_round_trip(models, kind):
    written = keras.saving.serialize_keras_object(models[kind])
    again = keras.saving.deserialize_keras_object(written)
    assert keras.saving.serialize_keras_object(again) == written
    again.set_weights(models[kind].get_weights())
    np.testing.assert_array_equal(call(again), call(models[kind]))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(models, policy):
    exact = models["all_widths"]
    mixed = ConvolutionalSeq2Seq.from_config({**exact.get_config(), "dtype": policy})
    mixed.set_weights(exact.get_weights())
    logits = call(mixed)
    assert logits.dtype == np.float32
    assert np.corrcoef(logits.reshape(-1), call(exact).reshape(-1))[0, 1] > 0.99
    state, memory = mixed.start(SOURCE)
    step = mixed.step(TARGET[:, :1], 0, state, memory)
    assert [leaf.dtype for leaf in step.state] == [leaf.dtype for leaf in state]
    np.testing.assert_allclose(step.logits[:, 0], logits[:, 0], atol=0.1)


def test_compiled_by_xla(models):
    compiled = tf.function(models["small"], jit_compile=True, autograph=False)
    assert_close(compiled({"source": SOURCE, "target": TARGET}), call(models["small"]))


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
