"""RecurrentSeq2Seq: dropout in the decoder, attention layers of the user's, ties, what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import LuongAttention
from keras_attn.models import RecurrentSeq2Seq

from .. import bounds
from ..model_rows import SOURCE, TARGET, TERMS, V, make


def call(model):
    return model({"source": SOURCE, "target": TARGET}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS["recurrent"])


def test_dropout_acts_between_the_layers_of_the_decoder_too():
    model = make("recurrent", dropout=0.5, num_decoder_layers=2, residual=True)
    state, memory = model.start(SOURCE)
    logits = model.step(TARGET[:, :1], 0, state, memory).logits
    assert_close(logits[:, 0], call(model)[:, 0])
    model.get_layer("dropout").rate = 0.0  # all other places
    for training in (False, True):
        for again in (
            model.step(TARGET[:, :1], 0, state, memory, training=training).logits[:, 0],
            model({"source": SOURCE, "target": TARGET}, training=training)[:, 0],
        ):
            assert np.allclose(again, logits[:, 0], atol=1e-5) is not training
    assert make("recurrent", dropout=0.5).get_layer("decoder").cell_dropout == 0


def test_needs_no_cudnn_op():
    run = tf.function(make("recurrent")).get_concrete_function(
        {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ("source", "target")}
    )
    graph = run.graph.as_graph_def()
    names = {node.op for node in graph.node}
    names |= {node.op for function in graph.library.function for node in function.node_def}
    assert not [name for name in names if "udnn" in name]
    assert "While" in names or "StatelessWhile" in names  # the graph is not empty


def test_what_older_files_hold_makes_the_model_that_they_meant():
    """Keras finds the weights in a file by the classes and the order of the layers."""
    old = {"source_vocabulary_size": 19, "target_vocabulary_size": V, "embedding_dim": 5, "units": 7}
    model = RecurrentSeq2Seq.from_config({"name": "old", **old, "attention_units": 3, "dropout": 0.3})
    layers = [layer for layer in model.layers if layer.weights]
    assert [(type(layer).__name__, layer.name) for layer in layers] == [
        ("Embedding", "target_embedding"),
        ("Embedding", "source_embedding"),
        ("Bidirectional", "encoder"),
        ("Dense", "bridge"),
        ("AttentionRNN", "decoder"),
        ("Dense", "readout"),
        ("Dense", "logits"),
    ]
    assert model.count_params() == 5 * (19 + V) + 2 * 294 + 56 + 588 + 66 + 135 + 138


def test_two_models_of_one_attention_layer_share_no_weights():
    attention = LuongAttention("general")
    one, other = (RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention=attention) for _ in range(2))
    assert not {id(weight) for weight in one.weights} & {id(weight) for weight in other.weights}
    assert not attention.built


def test_an_attention_layer_in_use_elsewhere_is_none_of_the_model():
    attention = LuongAttention("general")
    attention.build((None, None, 3), (None, None, 4))
    fresh, given = (
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention=layer)
        for layer in (LuongAttention("general"), attention)
    )
    assert len(given.weights) == len(fresh.weights)

    assert given.get_config()["attention"]["class_name"] == "LuongAttention"


def test_a_tied_model_has_one_table_for_the_target():
    free, tied = (
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3, tie_target_embedding=tied)
        for tied in (False, True)
    )
    assert free.count_params() - tied.count_params() == 5 * V


@pytest.mark.parametrize("name", ["cell", "bridge", "attention", "readout"])
def test_unknown_choices(name):
    with pytest.raises(ValueError, match=f"`{name}` is unknown. Expected .*one of .* Received: {name}='rnn'"):
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, **{name: "rnn"})


@pytest.mark.parametrize("name", ["units", "embedding_dim", "num_encoder_layers", "num_decoder_layers"])
def test_wrong_counts(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{name}=0"):
        RecurrentSeq2Seq(19, V, **{"embedding_dim": 5, "units": 7, name: 0})


@pytest.mark.parametrize(
    "settings", [{"readout_units": 7}, {"readout": None}, {"readout": None, "attention_vector_units": 3}]
)
def test_tied_weights_of_different_widths(settings):
    with pytest.raises(ValueError, match=r"`tie_target_embedding` needs .* Expected 5 \(embedding_dim\)"):
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, tie_target_embedding=True, **settings)


def test_custom_objects_of_from_config_are_honoured():
    class Scaled(LuongAttention):
        """An attention that no registry knows."""

    config = make("recurrent", attention=Scaled("general")).get_config()
    model = RecurrentSeq2Seq.from_config(config, custom_objects={"Scaled": Scaled})
    assert type(model.get_layer("decoder").attention) is Scaled
    with pytest.raises((TypeError, ValueError), match="Scaled"):
        RecurrentSeq2Seq.from_config(config)
