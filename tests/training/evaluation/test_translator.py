"""What translates is made as the recipe says, with TensorFlow, in float32."""

import keras
import numpy as np
import pytest

from keras_attn.training.errors import RunError
from keras_attn.training.evaluation.translator import in_float32, make_translator
from keras_attn.training.recipe.recipe import Decoding


def test_greedy_and_beam(tiny_model, tokenizers):
    tokenizer = tokenizers.characters
    model = tiny_model(tokenizer.vocabulary_size)
    greedy, beam = (
        make_translator(
            model, (tokenizer, tokenizer), Decoding(beam_size=size, length_penalty=0.3, max_length=7)
        )
        for size in (1, 3)
    )
    assert greedy.strategy is None
    assert (beam.strategy.beam_size, beam.strategy.length_penalty.alpha) == (3, 0.3)
    assert greedy.max_length == beam.max_length == 7


def test_another_backend(tiny_model, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        RunError, match=r"Decoding runs on TensorFlow. Expected .* Received: jax. Train without"
    ):
        make_translator(None, (), Decoding())


def test_float32(tiny_model):
    model = tiny_model(19)
    assert in_float32(model) is model
    config = {**model.get_config(), "dtype": "mixed_bfloat16"}
    low = type(model).from_config(config)
    low.set_weights(model.get_weights())
    inputs = {"source": np.array([[5, 6, 2]]), "target": np.array([[1, 7, 8]])}
    assert (low(inputs).numpy() != model(inputs).numpy()).any()
    np.testing.assert_array_equal(in_float32(low)(inputs), model(inputs))
