"""The encoder's states: those that the graph of training has, whatever the family."""

import keras
import pytest
import tensorflow as tf

from keras_attn.export.service.encoder_states import encoder_states, has_encoder_states
from keras_attn.models import RecurrentSeq2Seq, TransformerLanguageModel, TransformerSeq2Seq

from ...bounds import assert_close

SOURCE = tf.constant([[5, 7, 3, 2, 0], [4, 2, 0, 0, 0]])


def test_of_a_transformer_are_what_its_last_encoder_block_gives():
    model = TransformerSeq2Seq(
        11,
        13,
        num_encoder_layers=2,
        num_decoder_layers=1,
        embedding_dim=6,
        num_heads=2,
        hidden_dim=7,
        dropout=0.0,
        norm_first=False,
    )
    states, mask = encoder_states(model, SOURCE)
    encoder = keras.Model(model.inputs, model.get_layer("encoder_1").output)
    expected = encoder({"source": SOURCE, "target": tf.ones([2, 3], tf.int32)})
    assert_close(states, expected, 2 * (4 * 6 + 7 + 5 + 2 * 6))  # attention, feed forward, two norms
    assert mask.numpy().sum(axis=1).tolist() == [4, 2]


def test_of_a_recurrent_model_without_attention_are_one():
    model = RecurrentSeq2Seq(11, 13, embedding_dim=5, units=7, attention=None)
    states, mask = encoder_states(model, SOURCE)
    assert states.shape[:2] == mask.shape == (2, 1)
    assert mask.numpy().all()


def test_of_a_language_model_depend_on_nothing_behind_them():
    model = TransformerLanguageModel(
        11, num_layers=1, embedding_dim=6, num_heads=2, hidden_dim=7, dropout=0.0
    )
    states, _ = encoder_states(model, SOURCE)
    alone, _ = encoder_states(model, SOURCE[1:, :2])
    assert_close(states[1:, :2], alone, 4 * 6 + 7 + 5 + 2 * 6)


def test_of_a_decoder_of_ones_own_are_what_it_says():
    class Own:
        def encode(self, source):
            return tf.ones([2, 5, 3]), source != 0

    assert has_encoder_states(Own())
    assert encoder_states(Own(), SOURCE)[0].shape == (2, 5, 3)


def test_a_decoder_that_does_not_say_has_none():
    assert not has_encoder_states(object())
    with pytest.raises(TypeError, match=r"`model` does not say what its encoder leaves.*Received: <object"):
        encoder_states(object(), SOURCE)
