"""TransformerSeq2Seq: alignments, sharing, first numbers, dropout, gradients, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.models import TransformerSeq2Seq

from .. import bounds
from ..model_rows import SOURCE, TARGET, TERMS, V, make


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


def test_without_positions_the_source_is_a_bag():
    model = make("transformer/no_positions")
    backwards = call(model, SOURCE[:, ::-1])
    bounds.assert_close(backwards, call(model), TERMS["transformer"])


@pytest.mark.parametrize(("layer", "heads"), [(-1, None), (0, [2]), (1, [0, 2])])
def test_alignments_are_those_of_the_chosen_layer_and_heads(layer, heads):
    model = make("transformer", alignment_layer=layer, alignment_heads=heads)
    weights = []
    for index in range(2):
        block = model.get_layer(f"decoder_{index}")
        attend = block.cross_attention.sublayer.attend
        block.cross_attention.sublayer.attend = lambda *a, f=attend: weights.append(f(*a)) or weights[-1]
    state, memory = model.start(SOURCE)
    step = model.step(TARGET[:, :1], 0, state, memory)
    expected = weights[layer][1].numpy()[:, heads if heads else [0, 1, 2]].mean(axis=1)
    np.testing.assert_allclose(step.alignment, expected, rtol=1e-5)


def test_pre_norm_has_a_norm_after_each_stack():
    names = {layer.name for layer in make("transformer/pre_norm").layers}
    assert {"encoder_norm", "decoder_norm"} <= names
    assert not {"encoder_norm", "decoder_norm"} & {layer.name for layer in make("transformer").layers}


@pytest.mark.parametrize(
    ("share", "tables"),
    [
        ("none", {"source_embedding", "target_embedding", "logits"}),
        ("inputs", {"embedding", "logits"}),
        ("target", {"source_embedding", "target_embedding"}),
        ("all", {"embedding"}),
    ],
)
def test_which_tables_there_are(share, tables):
    weights = make("transformer", share_embeddings=share).weights
    assert {w.path.split("/")[0] for w in weights if V in w.shape} == tables


def test_the_first_numbers():
    keras.utils.set_random_seed(3)
    sizes = {"embedding_dim": 64, "num_heads": 2, "hidden_dim": 11}
    model = TransformerSeq2Seq(997, V, num_encoder_layers=1, num_decoder_layers=1, **sizes)
    table = model.get_layer("source_embedding").embeddings.numpy()
    assert (table[0] == 0).all()
    assert table[1:].std() == pytest.approx(64**-0.5, rel=0.02)
    kernel = model.get_layer("logits").kernel.numpy()
    assert kernel.std() == pytest.approx(64**-0.5, rel=0.1)
    logits = call(model)
    assert 0.5 < logits.std() < 2  # neither flat nor sure of anything


@pytest.mark.parametrize("place", ["attention_dropout", "activation_dropout"])
def test_dropout_of_the_attention_and_inside_the_feed_forward_layers(place):
    model = make("transformer/pre_norm", **{"dropout": 0.0, place: 0.5})
    inputs = {"source": SOURCE, "target": TARGET}
    np.testing.assert_array_equal(model(inputs), model(inputs))
    assert not np.allclose(model(inputs, training=True), model(inputs, training=True))


def test_gradients_reach_every_weight():
    model = make("transformer/target_shared", norm_first=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model({"source": SOURCE, "target": TARGET})))
    for weight, gradient in zip(
        model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True
    ):
        numbers = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(numbers).all(), weight.path
        # A key's bias moves all logits of a query alike, which a softmax does not feel.
        assert np.abs(numbers).max() > 0 or "key/bias" in weight.path, weight.path


WRONG = {
    "positions": ({"positions": "absolute"}, r"`positions` is unknown. Expected None or one of .*rotary"),
    "options": ({"positions": None, "position_options": {"base": 3}}, r"`position_options` are settings"),
    "sharing": ({"share_embeddings": True}, r"`share_embeddings` is unknown. Expected one of .*'all'"),
    "sizes": (
        {"share_embeddings": "all", "source_size": 19},
        r"Expected one vocabulary. Received: 19 source ids and 23 target ids. .*share_embeddings='target'",
    ),
    "layer": ({"alignment_layer": 2}, r"`alignment_layer` must be one of .* Expected -2 to 1. Received: .*2"),
    "heads": ({"alignment_heads": [3]}, r"`alignment_heads` must be some .* from 0 to 2. Received: .*\[3\]"),
    "no_heads": ({"alignment_heads": []}, r"`alignment_heads` must be some of the heads"),
    "layers": ({"num_decoder_layers": 0}, r"`num_decoder_layers` must be a whole number of at least 1"),
    "width": ({"embedding_dim": "7"}, r"`embedding_dim` must be a whole number of at least 1"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_settings(kind):
    settings, message = WRONG[kind]
    with pytest.raises(ValueError, match=message):
        make("transformer", **settings)


def test_beyond_a_learned_table():
    model = make("transformer/learned")
    with pytest.raises(ValueError, match=r"go beyond its table. Expected positions from 0 to 12"):
        model.start(np.ones((1, 17), np.int32))
