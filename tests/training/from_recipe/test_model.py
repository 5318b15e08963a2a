"""Every family that a recipe can name becomes a model that trains and decodes."""

import numpy as np
import pytest

from keras_attn.decoding import decode
from keras_attn.training.from_recipe.model import build_model
from keras_attn.training.recipe.model_sections import model_section

SMALL = (
    model_section("recurrent", embedding_dim=5, units=7, attention="none", readout="none"),
    model_section("recurrent", embedding_dim=5, units=7, attention="luong", attention_vector_units=3),
    model_section(
        "convolutional", embedding_dim=5, encoder_convolutions=((7, 3),), decoder_convolutions=((3, 2),)
    ),
    model_section(
        "transformer", num_encoder_layers=1, num_decoder_layers=2, embedding_dim=6, num_heads=2, hidden_dim=11
    ),
    model_section("language_model", num_layers=2, embedding_dim=6, num_heads=3, hidden_dim=11),
    model_section(
        "language_model",
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
    assert decode(model, ids, start_id=1, end_id=2, max_length=7).tokens.shape[0] == 2
