"""MultiHeadAttention under masks of every kind: hidden keys, queries that see nothing, implicit masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ...bounds import assert_close
from ...few import few
from .multi_head import HEADS, IMPLEMENTATIONS, OUTPUT_DIM, TERMS, V_DIM, VALUE_WIDTH, B, S, T, make, twin


@pytest.mark.parametrize("policy", few(["float32", "mixed_bfloat16", "mixed_float16"], "mixed_float16"))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", ["padding", "places"])
def test_a_query_with_nothing_to_see_gives_zero_and_finite_gradients(inputs, policy, implementation, kind):
    """Although the biases are not 0."""
    layer = make(
        implementation=implementation, window=5 if implementation == "windowed" else None, dtype=policy
    )
    empty = np.array([[True] * T, [False, True, False]])
    masks = {"value_mask": ~empty[:, :1] | np.zeros((B, S), bool), "query_mask": ~empty | empty[:, :1]}
    if kind == "places":
        masks = {"attention_mask": ~empty[:, :, None] & np.ones((B, T, S), bool)}
    with tf.GradientTape() as tape:
        output = layer(**inputs, **masks)
        loss = tf.reduce_sum(tf.cast(output, tf.float32) ** 2)
    output = tf.cast(output, tf.float32).numpy()
    assert (output[empty] == 0).all()
    assert (output[~empty] != 0).all()
    gradients = tape.gradient(loss, [weight.value for weight in layer.weights])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.any(gradients[0])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_head_with_nothing_to_see_adds_nothing(inputs, rng, implementation):
    """The output is what the other heads give; a query that no head serves gives 0."""
    options = {"implementation": implementation, "window": 5 if implementation == "windowed" else None}
    layer = make(**options)
    keep = np.ones((B, HEADS, T, S), bool)
    keep[:, :4, 1] = False
    keep[0, :, 2] = False
    output = layer(**inputs, attention_mask=keep)
    kernel = layer.output_projection.kernel.numpy()
    kernel[: 4 * VALUE_WIDTH] = 0
    others = twin(layer, **options)
    others.output_projection.kernel.assign(kernel)
    expected = others(**inputs)
    assert_close(output[:, 1], expected[:, 1], TERMS)
    assert (np.asarray(output)[0, 2] == 0).all()
    assert_close(output[1, 2], layer(**inputs)[1, 2], TERMS)


@pytest.mark.parametrize("implementation", ["blockwise", "windowed"])
@pytest.mark.parametrize("shape", [(T, S), (B, 1, S), (B, HEADS, T, S)])
def test_masks_of_places_in_every_implementation(inputs, masks, rng, implementation, shape):
    """A window that spans all keys sees what full attention does."""
    attention_mask = rng.random(shape) < 0.7
    everything = masks | {"attention_mask": attention_mask, "use_causal_mask": True}
    full = make()
    expected = full(**inputs, **everything)
    window = 5 if implementation == "windowed" else None
    layer = twin(full, implementation=implementation, window=window, block_size=3)
    assert_close(layer(**inputs, **everything), expected, TERMS)


def test_a_mask_that_got_lost_is_an_error():
    entries = [keras.Input((None,), dtype="int32") for _ in range(2)]
    embedding = keras.layers.Embedding(7, V_DIM, mask_zero=True)
    query, value = (embedding(entry) for entry in entries)
    lost = value * 2.0
    layer = make()
    with pytest.raises(ValueError, match=r"mask of an input of layer.*got lost.*Received: value_mask=None"):
        layer(query, lost)
    for mask in ({"value_mask": entries[1] != 0}, {"attention_mask": np.ones((1, 1, 1), bool)}):
        assert layer(query, lost, **mask).shape == (None, None, OUTPUT_DIM)
    assert layer(query, value).shape == layer(lost, lost, use_causal_mask=True).shape


def test_weights_of_a_query_with_nothing_to_see_are_zero(inputs):
    value_mask = np.array([[False] * S, [True] * S])
    _, weights = make()(**inputs, value_mask=value_mask, return_attention_scores=True)
    assert (weights[0].numpy() == 0).all()
    np.testing.assert_allclose(tf.reduce_sum(weights[1], -1), 1, rtol=1e-6)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_implicit_masks_are_honoured_and_the_query_mask_is_passed_on(symbolic, implementation):
    targets, sources = np.array([[3, 1, 0], [2, 5, 4]]), np.array([[1, 2, 3, 0, 0], [5, 4, 3, 2, 1]])
    embedding = keras.layers.Embedding(7, V_DIM, mask_zero=True)
    layer = make(implementation=implementation, window=5 if implementation == "windowed" else None)
    if symbolic:
        entries = [keras.Input((None,), dtype="int32") for _ in range(2)]
        symbol = layer(embedding(entries[0]), embedding(entries[1]))
        output = keras.Model(entries, symbol)([targets, sources])
        assert symbol._keras_mask is not None
    else:
        output = layer(embedding(targets), embedding(sources))
    np.testing.assert_array_equal(output._keras_mask, targets != 0)
    explicit = layer(
        *(embedding.embeddings.numpy()[x] for x in (targets, sources)),
        query_mask=targets != 0,
        value_mask=sources != 0,
    )
    assert_close(output, explicit, TERMS)
