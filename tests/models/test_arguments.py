"""Arguments that no constructor reads, or whose values its annotations exclude, are refused."""

import pytest

from keras_attn import models


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        (models.RecurrentSeq2Seq, (11, 13)),
        (models.ConvolutionalSeq2Seq, (11, 13)),
        (models.TransformerSeq2Seq, (11, 13)),
        (models.TransformerLanguageModel, (11,)),
    ],
)
def test_an_unknown_argument_is_named(family, sizes):
    with pytest.raises(
        TypeError,
        match=rf"`{family.__name__}` has no argument `embeding_dim`. Did you mean `embedding_dim`\?",
    ):
        family(*sizes, embeding_dim=8)


def test_one_that_resembles_none_is_told_what_there_is():
    with pytest.raises(TypeError, match=r"no argument `units`. Expected some of source_.*trainable"):
        models.TransformerSeq2Seq(11, 13, units=8)


def test_the_name_of_a_model_is_keras_own():
    model = models.RecurrentSeq2Seq(11, 13, embedding_dim=3, units=5, attention_units=2, name="of_mine")
    assert model.name == "of_mine"


@pytest.mark.parametrize("dropout", [-0.1, 1.0, "0.1", True])
def test_numbers_keep_to_the_limits_of_their_annotation(dropout):
    with pytest.raises(
        ValueError, match=r"`dropout` must be a number of at least 0 and less than 1. Received: dropout="
    ):
        models.RecurrentSeq2Seq(11, 13, dropout=dropout)
