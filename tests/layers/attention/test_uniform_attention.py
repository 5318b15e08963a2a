"""UniformAttention: the mean of what the mask keeps."""

import keras
import numpy as np

from keras_attn.layers.attention.uniform_attention import UniformAttention

B, T, S, D = 2, 3, 5, 7


def test_the_mean_of_what_the_mask_keeps(rng):
    value = rng.normal(size=(B, S, D)).astype("float32")
    mask = np.arange(S) < np.array([[S], [2]])
    query = rng.normal(size=(B, T, 11)).astype("float32")
    context, weights = UniformAttention()(query, value, value_mask=mask, return_attention_scores=True)
    for row, length in enumerate((S, 2)):
        expected = np.broadcast_to(value[row, :length].mean(axis=0), (T, D))
        np.testing.assert_allclose(context[row], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights[row], np.tile(mask[row] / length, (T, 1)), rtol=1e-6)


def test_a_row_with_nothing_to_see_gets_zeros():
    value = np.full((B, S, D), np.inf, "float32")
    masked = np.zeros((B, S), bool)
    _, weights = UniformAttention()(
        np.ones((B, T, D)), value, value_mask=masked, return_attention_scores=True
    )
    assert not np.any(weights)


def test_config_round_trip():
    written = keras.saving.serialize_keras_object(UniformAttention(name="mean"))
    assert keras.saving.serialize_keras_object(keras.saving.deserialize_keras_object(written)) == written
