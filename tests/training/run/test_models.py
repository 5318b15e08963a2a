"""Models of a run as they are to be decoded: in float32, whatever they were trained in."""

import keras
import numpy as np
import pytest

from keras_attn.models import TransformerSeq2Seq
from keras_attn.training.run.models import load_to_decode

SIZES = {
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "embedding_dim": 6,
    "num_heads": 2,
    "hidden_dim": 11,
}


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_weights_are_those_of_the_file(tmp_path, dtype):
    model = TransformerSeq2Seq(13, 17, **SIZES, dtype=dtype)
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    loaded = load_to_decode(tmp_path / "model.keras")
    assert type(loaded) is TransformerSeq2Seq
    assert not loaded.compiled
    assert {layer.compute_dtype for layer in loaded._flatten_layers() if layer.weights} == {"float32"}
    assert len(loaded.weights) == len(model.weights)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs))
