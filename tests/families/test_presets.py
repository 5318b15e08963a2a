"""Presets: the papers' numbers of parameters, by a formula that tiny models confirm."""

import pytest

from keras_attn.families.presets import PRESETS, preset_settings
from keras_attn.families.registry import family_arguments
from keras_attn.models import TransformerSeq2Seq

V = 23
TRANSFORMERS = sorted(name for name in PRESETS if preset_settings(name)["kind"] == "transformer")


def count(preset, vocabulary):
    """Parameters of a post-norm Transformer of one vocabulary, without making it."""
    width, hidden = preset["embedding_dim"], preset["hidden_dim"]
    tables = {"all": 1, "target": 2, "none": 3}[preset["share_embeddings"]]
    norm, attention = 2 * width, 4 * (width * width + width)
    feed_forward = width * hidden + hidden + hidden * width + width
    encoder = preset["num_encoder_layers"] * (attention + feed_forward + 2 * norm)
    decoder = preset["num_decoder_layers"] * (2 * attention + feed_forward + 3 * norm)
    return tables * vocabulary * width + encoder + decoder


@pytest.mark.parametrize("share", ["none", "target", "all"])
def test_the_formula_counts_what_a_model_has(share):
    sizes = {"embedding_dim": 6, "hidden_dim": 11, "num_encoder_layers": 1, "num_decoder_layers": 2}
    model = TransformerSeq2Seq(V, V, num_heads=2, share_embeddings=share, **sizes)
    assert model.count_params() == count({**sizes, "share_embeddings": share}, V)


@pytest.mark.parametrize(("name", "millions"), [("transformer_base", 65), ("transformer_big", 213)])
def test_as_many_parameters_as_in_the_paper(name, millions):
    """Vaswani et al. 2017, table 3; its vocabulary of about 37,000 pieces is not given exactly."""
    assert count(preset_settings(name), 37_000) / 1e6 == pytest.approx(millions, rel=0.03)


def test_tiny_is_tiny():
    assert TransformerSeq2Seq.from_preset("transformer_tiny", V, V).count_params() == count(
        preset_settings("transformer_tiny"), V
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_a_family_and_arguments_of_its_class(name):
    settings = preset_settings(name)
    arguments = family_arguments(settings.pop("kind"))
    assert set(settings) <= {argument.name for argument in arguments}


def test_changes_go_over_the_preset_and_leave_it_as_it_was():
    before = preset_settings("transformer_tiny")
    model = TransformerSeq2Seq.from_preset(
        "transformer_tiny", V, 19, num_encoder_layers=1, num_decoder_layers=1, dropout=0.2
    )
    config = model.get_config()
    assert (config["num_encoder_layers"], config["dropout"], config["hidden_dim"]) == (1, 0.2, 256)
    assert preset_settings("transformer_tiny") == before


def test_an_unknown_name():
    with pytest.raises(
        ValueError, match=r"Expected one of .*transformer_base.*Did you mean 'transformer_big'"
    ):
        TransformerSeq2Seq.from_preset("transformer_bigg", V, V)


def test_a_preset_of_another_family():
    with pytest.raises(ValueError, match=r"is of `RecurrentSeq2Seq`. Expected one of .*: transformer_tiny, "):
        TransformerSeq2Seq.from_preset("cho_2014", V, V)
