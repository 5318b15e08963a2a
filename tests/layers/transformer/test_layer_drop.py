"""Whole layers left out: how often, in training alone, and in the Transformers."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import LayerDrop
from keras_attn.models import TransformerLanguageModel, TransformerSeq2Seq

from ...few import few

SIZES = {"embedding_dim": 6, "num_heads": 2, "hidden_dim": 11, "dropout": 0.0}
IDS = {"source": np.array([[5, 7, 2], [4, 2, 0]]), "target": np.array([[1, 9, 6], [1, 5, 0]])}
MODELS = {
    "encoder-decoder": (
        lambda **options: TransformerSeq2Seq(
            13, 13, num_encoder_layers=2, num_decoder_layers=2, **SIZES, **options
        ),
        ["encoder_drop_0", "encoder_drop_1", "decoder_drop_0", "decoder_drop_1"],
    ),
    "decoder-only": (
        lambda **options: TransformerLanguageModel(13, num_layers=2, **SIZES, **options),
        ["drop_0", "drop_1"],
    ),
}


def test_one_draw_for_a_whole_batch():
    layer, inputs, outputs = LayerDrop(0.3, seed=5), ops.zeros((3, 5, 2)), ops.ones((3, 5, 2))
    count = 701
    drawn = [ops.convert_to_numpy(layer(inputs, outputs, training=True)) for _ in range(count)]
    assert {tuple(np.unique(values)) for values in drawn} == {(0.0,), (1.0,)}
    share = np.mean([values[0, 0, 0] == 0 for values in drawn])
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / count)


def test_inference_and_a_rate_of_0_leave_nothing_out():
    inputs, outputs = ops.zeros((2, 3)), ops.ones((2, 3))
    for layer, training in ((LayerDrop(0.9), False), (LayerDrop(0.9), None), (LayerDrop(0.0), True)):
        for _ in range(7):
            np.testing.assert_array_equal(layer(inputs, outputs, training=training), outputs)


def test_what_is_refused():
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match=rf"`rate` must be in \[0, 1\). Received: rate={rate}"):
            LayerDrop(rate)
    message = r"Expected equal shapes. Received: inputs \(None, 3\), outputs \(None, 5\)"
    with pytest.raises(ValueError, match=message):
        LayerDrop(0.1)(keras.Input((3,)), keras.Input((5,)))


@pytest.mark.parametrize("kind", few(MODELS, "decoder-only"))
def test_a_model_differs_in_training_alone(kind, tmp_path):
    make, names = MODELS[kind]
    plain, dropping = make(), make(layer_drop=0.5)
    assert [layer.name for layer in dropping.layers if isinstance(layer, LayerDrop)] == names
    assert not [layer for layer in plain.layers if isinstance(layer, LayerDrop)]
    assert len(plain.trainable_weights) == len(dropping.trainable_weights)
    for weight, other in zip(dropping.trainable_weights, plain.trainable_weights, strict=True):
        weight.assign(other)
    np.testing.assert_array_equal(dropping(IDS), plain(IDS))
    for model, number in ((plain, 1), (dropping, 2)):
        answers = {ops.convert_to_numpy(model(IDS, training=True)).tobytes() for _ in range(5)}
        assert (len(answers) > 1) == (number > 1)
    dropping.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["layer_drop"] == 0.5
    np.testing.assert_array_equal(loaded(IDS), plain(IDS))


def test_a_model_all_of_whose_blocks_are_left_out(monkeypatch):
    """What is left are the embeddings: logits of a place depend on its own token alone."""
    model = MODELS["encoder-decoder"][0](layer_drop=0.5, positions=None)
    monkeypatch.setattr(keras.random, "uniform", lambda *_, **__: ops.zeros(()))
    logits = ops.convert_to_numpy(model({**IDS, "target": np.array([[1, 9, 1], [9, 1, 0]])}, training=True))
    for place, same in (((0, 0), (0, 2)), ((0, 0), (1, 1)), ((0, 1), (1, 0))):
        np.testing.assert_allclose(logits[place], logits[same], rtol=1e-5)
