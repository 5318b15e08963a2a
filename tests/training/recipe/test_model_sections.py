"""What the sections of the families hold each other to."""

import pytest

from keras_attn.training.recipe.model_sections import ModelSection
from keras_attn.training.recipe.section import RecipeError

TWO = {"decoder_convolutions": [[7, 3], [5, 1]]}


def test_which_layers_of_a_convolutional_decoder_attend():
    assert ModelSection.from_dict({"kind": "convolutional", **TWO}).settings()["decoder_attention"] is True
    section = ModelSection.from_dict({"kind": "convolutional", **TWO, "decoder_attention": [False, True]})
    assert section.settings()["decoder_attention"] == (False, True)


@pytest.mark.parametrize(
    ("value", "received"),
    [
        ([True], r"\[\s*true,\s*\]"),
        ([False, False], r"\[\s*false,\s*false,\s*\]"),
        ([1, 0], r"\[\s*1,\s*0,\s*\]"),
        ([], r"\[\]"),
        (False, "false"),
    ],
)
def test_layers_that_attend_are_all_or_named(value, received):
    message = rf"`decoder_attention` must say .* Expected true, or 2 of true and .* Received: {received}"
    with pytest.raises(RecipeError, match=message):
        ModelSection.from_dict({"kind": "convolutional", **TWO, "decoder_attention": value})


def test_a_wrong_type():
    with pytest.raises(
        RecipeError, match=r"wrong type. Expected true or false or an array. Received: \"all\""
    ):
        ModelSection.from_dict({"kind": "convolutional", **TWO, "decoder_attention": "all"})


@pytest.mark.parametrize("table", [{"window": 3}, {"implementation": "windowed"}])
def test_a_window_and_what_is_windowed_go_together(table):
    with pytest.raises(RecipeError, match=r"`window` goes with `implementation` = \"windowed\""):
        ModelSection.from_dict({"kind": "transformer", **table})


def test_options_of_a_scheme_are_a_table():
    with pytest.raises(RecipeError, match=r"`position_options` has .* Expected a table. Received: 3"):
        ModelSection.from_dict({"kind": "transformer", "position_options": 3})
