"""TokenEmbedding: look-up, logits, scale, first numbers, half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_attn.layers.embedding.token_embedding import TokenEmbedding

V, D = 11, 4
IDS = np.array([[7, 3, 0], [2, 2, 9]])


@pytest.mark.parametrize("scale", [False, True])
def test_rows_of_the_table_and_their_products(rng, scale):
    layer = TokenEmbedding(V, D, scale=scale, use_bias=True)
    layer.build()
    table, bias = rng.normal(size=(V, D)).astype("float32"), rng.normal(size=V).astype("float32")
    layer.set_weights([table, bias])
    np.testing.assert_allclose(layer(IDS), table[IDS] * (2.0 if scale else 1.0), rtol=1e-6)
    hidden = rng.normal(size=(2, 3, D)).astype("float32")
    np.testing.assert_allclose(layer(hidden, reverse=True), hidden @ table.T + bias, rtol=1e-5, atol=1e-6)


def test_the_first_numbers():
    keras.utils.set_random_seed(7)
    layer = TokenEmbedding(997, 64)
    layer.build()
    table = ops.convert_to_numpy(layer.embeddings)
    assert (table[0] == 0).all()
    assert table[1:].std() == pytest.approx(1 / 8, rel=0.02)
    assert [weight.shape for weight in layer.weights] == [(997, 64)]


def test_half_precision_gives_vectors_of_it_and_logits_in_float32():
    layer = TokenEmbedding(V, D, dtype="mixed_bfloat16")
    hidden = layer(IDS)
    logits = layer(hidden, reverse=True)
    assert keras.backend.standardize_dtype(hidden.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    expected = ops.convert_to_numpy(ops.cast(hidden, "float32")) @ ops.convert_to_numpy(layer.embeddings).T
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_in_half_precision_are_those_of_float32_but_for_its_rounding(rng, jit_compile):
    layer, exact = TokenEmbedding(V, D, dtype="mixed_bfloat16"), TokenEmbedding(V, D)
    layer.build()
    exact.build()
    exact.set_weights(layer.get_weights())
    hidden = tf.cast(rng.normal(size=(2, 3, D)), "bfloat16")
    upstream = tf.constant(rng.normal(size=(2, 3, V)), "float32")

    def gradients(layer, hidden):
        @tf.function(jit_compile=jit_compile)
        def run(hidden, upstream):
            with tf.GradientTape() as tape:
                tape.watch(hidden)
                logits = layer(hidden, reverse=True)
            return tape.gradient(logits, [hidden, layer.embeddings.value], upstream)

        return run(hidden, upstream)

    received, expected = gradients(layer, hidden), gradients(exact, tf.cast(hidden, "float32"))
    assert [x.dtype.name for x in received] == ["bfloat16", "float32"]
    for x, y in zip(received, expected, strict=True):
        np.testing.assert_allclose(tf.cast(x, "float32"), y, rtol=0.02, atol=0.02 * np.abs(y).max())


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_eagerly_too(rng, policy):
    layer = TokenEmbedding(V, D, use_bias=True, dtype=policy)
    with tf.GradientTape() as tape:
        total = ops.sum(ops.square(layer(layer(IDS), reverse=True)))
    gradients = tape.gradient(total, [weight.value for weight in layer.weights])
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


def test_symbolic_shapes_and_dtypes():
    layer, entry = TokenEmbedding(V, D), keras.Input((None,), dtype="int32")
    hidden = layer(entry)
    logits = layer(hidden, reverse=True)
    assert (hidden.shape, logits.shape) == ((None, None, D), (None, None, V))
    model = keras.Model(entry, [hidden, logits])
    assert [x.shape for x in model(IDS)] == [(2, 3, D), (2, 3, V)]


def test_config_round_trip():
    layer = TokenEmbedding(V, D, scale=False, use_bias=True, name="here")
    again = TokenEmbedding.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_logits_of_another_width():
    with pytest.raises(ValueError, match=r"Expected \[..., 4\]. Received: shape \(None, 7\). Project"):
        TokenEmbedding(V, D)(keras.Input((7,)), reverse=True)


@pytest.mark.parametrize("name", ["vocabulary_size", "width"])
def test_wrong_sizes(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1"):
        TokenEmbedding(**{"vocabulary_size": V, "width": D, name: 0})
