"""BahdanauAttention: by hand, against NumPy and Keras, masks, dtypes, saving, gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import BahdanauAttention

from ...bounds import assert_close

B, T, S, Q_DIM, V_DIM, K_DIM, UNITS = 2, 3, 5, 7, 11, 13, 17
# What is added up on the way to a number.
TERMS = Q_DIM + V_DIM + K_DIM + UNITS + S


def oracle(layer, query, value, key, keep):
    """The formula of the paper with a loop over every query."""
    w_query, w_key = (np.asarray(x.kernel) for x in (layer.query_projection, layer.key_projection))
    context, weights = np.zeros((B, T, V_DIM)), np.zeros((B, T, S))
    for b, t in np.ndindex(B, T):
        hidden = np.tanh(query[b, t] @ w_query + key[b] @ w_key)  # [S, UNITS]
        energy = hidden @ np.asarray(layer.vector)[:, 0]
        exponentials = np.exp(energy) * keep[b, t]
        weights[b, t] = exponentials / max(exponentials.sum(), 1e-30)
        context[b, t] = weights[b, t] @ value[b]
    return context, weights


def set_weights(layer, query, key, vector):
    layer.query_projection.kernel.assign(query)
    layer.key_projection.kernel.assign(key)
    layer.vector.assign(np.asarray(vector)[:, None])


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


@pytest.fixture
def masks(rng):
    masks = {"query_mask": (B, T), "value_mask": (B, S), "key_mask": (B, S), "attention_mask": (B, T, S)}
    return {name: rng.random(shape) < 0.8 for name, shape in masks.items()}


def test_by_hand():
    """With W_q = 1, W_k = 1 and v = 2: logits 2 tanh(0.5 + k)."""
    layer = BahdanauAttention(1)
    query, value = np.array([[[0.5]]]), np.array([[[-0.5], [0.5]]])
    layer.build(query.shape, value.shape)
    set_weights(layer, query=[[1.0]], key=[[1.0]], vector=[2.0])
    context, weights = layer(query, value, return_attention_scores=True)
    odds = np.exp(2 * np.tanh(1.0))  # against exp(2 tanh 0) = 1
    np.testing.assert_allclose(weights, [[[1 / (1 + odds), odds / (1 + odds)]]], rtol=1e-6)
    np.testing.assert_allclose(context, [[[0.5 * (odds - 1) / (odds + 1)]]], rtol=1e-6)


def test_against_numpy_with_all_masks(inputs, masks):
    layer = BahdanauAttention(UNITS)
    context, weights = layer(**inputs, **masks, use_causal_mask=True, return_attention_scores=True)
    keep = masks["query_mask"][:, :, None] & (masks["value_mask"] & masks["key_mask"])[:, None]
    keep = keep & masks["attention_mask"] & np.tri(T, S, S - T, dtype=bool)
    expected_context, expected_weights = oracle(layer, **inputs, keep=keep)
    assert_close(weights, expected_weights, TERMS)
    assert_close(context, expected_context, TERMS)
    assert 0 < keep.sum() < keep.size
    assert (np.asarray(weights)[~keep] == 0).all()


def test_key_is_the_value_when_none(inputs):
    layer = BahdanauAttention(UNITS)
    query, value = inputs["query"], inputs["value"]
    np.testing.assert_array_equal(layer(query, value), layer(query, value, key=value))
    assert layer.key_projection.kernel.shape == (V_DIM, UNITS)


def test_key_of_another_width_is_what_is_scored(inputs):
    layer = BahdanauAttention(UNITS)
    context, weights = layer(**inputs, return_attention_scores=True)
    expected = oracle(layer, **inputs, keep=np.ones((B, T, S)))
    assert_close(weights, expected[1], TERMS)
    assert_close(context, expected[0], TERMS)


def test_equals_keras_additive_attention_when_the_projections_are_identities(rng):
    query, value = rng.normal(size=(B, T, 7)), rng.normal(size=(B, S, 7))
    value_mask = np.array([[True] * S, [True, False, True, True, False]])
    theirs, ours = keras.layers.AdditiveAttention(), BahdanauAttention(7)
    theirs.build([query.shape, value.shape])
    ours.build(query.shape, value.shape)
    theirs.scale.assign(rng.normal(size=7))
    set_weights(ours, query=np.eye(7), key=np.eye(7), vector=theirs.scale)
    expected = theirs([query, value], mask=[None, value_mask], return_attention_scores=True)
    received = ours(query, value, value_mask=value_mask, return_attention_scores=True)
    for one, other in zip(received, expected, strict=True):
        assert_close(one, other, TERMS)


def test_normalised_against_numpy(inputs, rng):
    """`g v/‖v‖ · tanh(W_q q + W_k k + b)`: the length of v is g's affair alone."""
    layer, plain = BahdanauAttention(UNITS, normalize=True), BahdanauAttention(UNITS)
    for each in (layer, plain):
        each.build(*(inputs[name].shape for name in ("query", "value", "key")))
    assert float(layer.gain.value) == pytest.approx(UNITS**-0.5)
    assert (np.asarray(layer.bias) == 0).all()
    layer.gain.assign(1.7)
    layer.bias.assign(rng.normal(size=UNITS))
    w_query, w_key = (np.asarray(x.kernel) for x in (layer.query_projection, layer.key_projection))
    vector, bias = np.asarray(layer.vector)[:, 0], np.asarray(layer.bias)
    vector = 1.7 * vector / np.linalg.norm(vector)
    hidden = (inputs["query"] @ w_query)[:, :, None] + (inputs["key"] @ w_key)[:, None]
    expected = np.exp(np.tanh(hidden + bias) @ vector)
    weights = layer(**inputs, return_attention_scores=True)[1]
    assert_close(weights, expected / expected.sum(axis=-1, keepdims=True), TERMS)
    layer.vector.assign(layer.vector * 1e-4)
    assert_close(layer(**inputs, return_attention_scores=True)[1], weights, TERMS)
    layer.bias.assign(0 * bias)
    for name in ("query", "key"):
        projection = getattr(layer, f"{name}_projection").kernel
        getattr(plain, f"{name}_projection").kernel.assign(projection)
    plain.vector.assign(vector[:, None])
    assert_close(layer(**inputs), plain(**inputs), TERMS)


def test_normalised_survives_a_vector_of_zeros(inputs):
    layer = BahdanauAttention(UNITS, kernel_initializer="zeros", normalize=True)
    with tf.GradientTape() as tape:
        context, weights = layer(**inputs, return_attention_scores=True)
        loss = tf.reduce_sum(context)
    np.testing.assert_allclose(weights, np.full((B, T, S), 1 / S), rtol=1e-6)
    assert np.isfinite(tape.gradient(loss, layer.vector.value)).all()


def test_a_query_with_nothing_to_see_gets_zeros_and_finite_gradients(inputs):
    layer = BahdanauAttention(UNITS)
    value_mask = np.array([[False] * S, [True] * S])
    with tf.GradientTape() as tape:
        context, weights = layer(**inputs, value_mask=value_mask, return_attention_scores=True)
        loss = tf.reduce_sum(context)
    assert (weights[0].numpy() == 0).all()
    assert (context[0].numpy() == 0).all()
    gradients = tape.gradient(loss, [weight.value for weight in layer.weights])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("num_queries", [1, 3])
def test_project_memory_and_attend_equal_call_against_one_copy_of_the_memory(inputs, num_queries):
    layer = BahdanauAttention(UNITS)
    query, value, key = inputs["query"][:, :num_queries], inputs["value"], inputs["key"]
    expected = layer(query, value, key, return_attention_scores=True)
    projected = layer.project_memory(key)
    assert projected.shape == (B, S, UNITS)
    together = layer.attend(query, projected, value)
    alone = [layer.attend(query[:, k : k + 1], projected, value) for k in range(num_queries)]
    for index in (0, 1):
        np.testing.assert_allclose(together[index], expected[index], rtol=1e-6)
        assert_close(together[index], np.concatenate([x[index] for x in alone], axis=1), TERMS)


def test_config_round_trip(inputs):
    layer = BahdanauAttention(
        UNITS,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.3, seed=5),
        name="attention",
        dtype="mixed_bfloat16",
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is BahdanauAttention
    assert again.get_config() == layer.get_config()
    assert (again.units, again.name, again.compute_dtype) == (UNITS, "attention", "bfloat16")
    layer(**inputs), again(**inputs)
    for one, other in zip(layer.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # the initializer with its seed survives


def test_projections_of_equal_width_begin_with_different_numbers(rng):
    layer = BahdanauAttention(UNITS)
    layer.build((B, T, 7), (B, S, 7))
    assert not np.array_equal(layer.query_projection.kernel, layer.key_projection.kernel)


def test_saved_model_is_bit_equal_in_a_fresh_process(inputs, predict_in_fresh_process):
    entries = {name: keras.Input((None, x.shape[-1]), name=name) for name, x in inputs.items()}
    outputs = BahdanauAttention(UNITS)(**entries, use_causal_mask=True, return_attention_scores=True)
    model = keras.Model(entries, outputs)
    expected = model(inputs)
    for one, other in zip(predict_in_fresh_process(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("with_weights", [False, True])
def test_symbolic_spec_equals_eager_shapes_and_dtypes(inputs, policy, with_weights):
    layer = BahdanauAttention(UNITS, dtype=policy)
    symbols = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype) for name, x in inputs.items()}
    flags = {"return_attention_scores": True} if with_weights else {}
    symbolic = keras.tree.flatten(layer(**symbols, **flags))
    eager = keras.tree.flatten(layer(**inputs, **flags))
    assert len(symbolic) == len(eager) == 1 + with_weights
    for symbol, tensor in zip(symbolic, eager, strict=True):
        assert (None, *tensor.shape[1:]) == symbol.shape
        assert tensor.dtype.name == symbol.dtype


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)])
def test_mixed_precision_is_close_to_float32_and_masks_exactly(inputs, policy, tolerance):
    value_mask = np.array([[False] * S, [True, True, False, True, True]])
    exact, layer = BahdanauAttention(UNITS), BahdanauAttention(UNITS, dtype=policy)
    expected = exact(**inputs, value_mask=value_mask, return_attention_scores=True)
    layer(**inputs)
    layer.set_weights(exact.get_weights())
    context, weights = layer(**inputs, value_mask=value_mask, return_attention_scores=True)
    assert context.dtype.name == layer.compute_dtype
    assert weights.dtype == tf.float32
    np.testing.assert_allclose(weights, expected[1], atol=tolerance)
    np.testing.assert_allclose(tf.cast(context, tf.float32), expected[0], atol=tolerance * 3)
    assert (weights[0].numpy() == 0).all()
    assert (weights[1, :, 2].numpy() == 0).all()


@pytest.mark.parametrize("symbolic", [False, True])
def test_implicit_masks_are_honoured_and_the_query_mask_is_passed_on(symbolic):
    targets, sources = np.array([[3, 1, 0], [2, 5, 4]]), np.array([[1, 2, 3, 0, 0], [5, 4, 3, 2, 1]])
    embedding, layer = keras.layers.Embedding(7, V_DIM, mask_zero=True), BahdanauAttention(UNITS)
    if symbolic:
        entries = [keras.Input((None,), dtype="int32") for _ in range(2)]
        outputs = layer(embedding(entries[0]), embedding(entries[1]), return_attention_scores=True)
        context, weights = keras.Model(entries, outputs)([targets, sources])
        assert outputs[0]._keras_mask is not None
    else:
        context, weights = layer(embedding(targets), embedding(sources), return_attention_scores=True)
    keep = (targets != 0)[:, :, None] & (sources != 0)[:, None]
    np.testing.assert_array_equal(np.asarray(weights) != 0, keep)
    np.testing.assert_array_equal(context._keras_mask, targets != 0)


def test_gradients_against_finite_differences(inputs, masks, rng):
    layer = BahdanauAttention(3, dtype="float64")
    inputs = {name: tf.Variable(x, dtype=tf.float64) for name, x in inputs.items()}
    ramp = tf.reshape(tf.range(B * T * V_DIM, dtype=tf.float64) / 97, (B, T, V_DIM))

    def loss():
        tensors = {name: variable.value() for name, variable in inputs.items()}
        return tf.reduce_sum(layer(**tensors, **masks) * ramp)

    with tf.GradientTape() as tape:
        value = loss()
    assert value.dtype == tf.float64
    variables = [*inputs.values(), *(weight.value for weight in layer.weights)]
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        direction = tf.constant(rng.normal(size=variable.shape))
        direction /= tf.norm(direction)
        step = 1e-2  # the softmax runs in float32: a smaller step would measure its rounding
        variable.assign_add(step * direction)
        above = loss()
        variable.assign_sub(2 * step * direction)
        difference = (above - loss()) / (2 * step)
        variable.assign_add(step * direction)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(
            float(difference), rel=5e-3, abs=5e-4
        )


@pytest.mark.parametrize("units", [0, -3, 2.0, "7"])
def test_wrong_units(units):
    with pytest.raises(ValueError, match=f"`units` must be a whole number of at least 1.*{units!r}"):
        BahdanauAttention(units)
