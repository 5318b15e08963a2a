"""Every family that a recipe can name becomes a model that trains and decodes."""

import inspect

import numpy as np
import pytest

from keras_attn.decoding import decode
from keras_attn.training.from_recipe.model import build_model
from keras_attn.training.recipe.model_sections import (
    ConvolutionalModel,
    LanguageModel,
    RecurrentModel,
    TransformerModel,
)

SMALL = (
    RecurrentModel(embedding_dim=5, units=7, attention="none", readout="none"),
    RecurrentModel(embedding_dim=5, units=7, attention="luong", attention_vector_units=3),
    ConvolutionalModel(embedding_dim=5, encoder_convolutions=((7, 3),), decoder_convolutions=((3, 2),)),
    TransformerModel(num_encoder_layers=1, num_decoder_layers=2, embedding_dim=6, num_heads=2, hidden_dim=11),
    LanguageModel(num_layers=2, embedding_dim=6, num_heads=3, hidden_dim=11),
    LanguageModel(
        **{"num_layers": 1, "embedding_dim": 6, "num_heads": 2, "hidden_dim": 11},
        **{"positions": "learned", "position_options": {"max_length": 23}, "embedding_scale": False},
        **{"output_bias": True, "implementation": "windowed", "window": 3},
        **{"alignment_layer": 0, "alignment_heads": [1]},
    ),
)


@pytest.mark.parametrize("section", SMALL, ids=lambda section: section.kind)
def test_families(section, rng):
    model = build_model(section, 19, 19)
    ids = rng.integers(3, 19, (2, 5)).astype("int32")
    logits = model({"source": ids, "target": np.ones((2, 3), "int32")})
    assert tuple(logits.shape) == (2, 3, 19)
    assert decode(model, ids, 1, 2, max_length=7).tokens.shape[0] == 2


@pytest.mark.parametrize("section", SMALL, ids=lambda section: section.kind)
def test_fields_are_the_arguments_of_the_class(section):
    arguments = inspect.signature(type(build_model(section, 19, 19)).__init__).parameters
    own = {name for name in arguments if not name.endswith("vocabulary_size")} - {"self", "dtype", "kwargs"}
    assert own == section.settings().keys()
