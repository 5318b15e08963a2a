"""MultiHeadAttention: by hand, against NumPy, dtypes, saving, gradients, errors."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import (
    ALiBiPositions,
    MultiHeadAttention,
    RotaryPositions,
)

from ...bounds import assert_close
from ...few import few
from .multi_head import (
    HEADS,
    IMPLEMENTATIONS,
    KEY_WIDTH,
    OUTPUT_DIM,
    Q_DIM,
    SCHEMES,
    TERMS,
    V_DIM,
    B,
    S,
    T,
    combined,
    make,
    oracle,
    twin,
)


def test_by_hand():
    """One head of width 4, all kernels identities: logits q · k / 2."""
    layer = MultiHeadAttention(1, 4, use_bias=False)
    query, value = np.array([[[2.0, 0, 0, 0]]]), np.array([[[0.0, 1, 0, 0], [np.log(3), 0, 1, 0]]])
    layer.build(query.shape, value.shape)
    layer.set_weights([np.eye(4)] * 4)
    output, weights = layer(query, value, return_attention_scores=True)
    np.testing.assert_allclose(weights, [[[[0.25, 0.75]]]], rtol=1e-6)
    np.testing.assert_allclose(output, [[[0.75 * np.log(3), 0.25, 0.75, 0]]], rtol=1e-6)


# Each number of heads once, each shape once.
SOON = ((1, True), None), ((2, False), (T, S)), ((3, True), (B, T, S)), ((6, False), (B, 1, S))
SOON += ((2, True), (B, HEADS, T, S)), ((3, False), (1, HEADS, 1, S))


@pytest.mark.parametrize(
    ("heads", "mask_shape"),
    few(
        {
            **dict.fromkeys(SOON),
            **dict.fromkeys(product([(1, True), (2, False), (3, True), (6, False)], [x for _, x in SOON])),
        },
        *SOON,
    ),
)
def test_against_numpy_with_all_masks(inputs, masks, rng, heads, mask_shape):
    key_heads, causal = heads
    layer = make(num_key_value_heads=key_heads)
    attention_mask = None if mask_shape is None else rng.random(mask_shape) < 0.8
    everything = masks | {"attention_mask": attention_mask, "use_causal_mask": causal}
    output, weights = layer(**inputs, **everything, return_attention_scores=True)
    wide = True if mask_shape is None else attention_mask
    keep = combined(masks, wide[:, None] if mask_shape and len(mask_shape) == 3 else wide, causal)
    expected_output, expected_weights = oracle(layer, **inputs, keep=keep)
    assert_close(weights, expected_weights, TERMS)
    assert_close(output, expected_output, TERMS)
    assert 0 < keep.sum() < keep.size
    assert (np.asarray(weights)[~keep] == 0).all()


def test_key_is_the_value_when_none_and_the_output_is_as_wide_as_the_query(inputs):
    layer = MultiHeadAttention(HEADS, KEY_WIDTH)
    query, value = inputs["query"], inputs["value"]
    np.testing.assert_array_equal(layer(query, value), layer(query, value, key=value))
    assert layer(query, value).shape == (B, T, Q_DIM)
    assert layer.key_projection.kernel.shape == (V_DIM, HEADS * KEY_WIDTH)


@pytest.mark.parametrize(
    ("implementation", "scheme"),
    few(
        product(IMPLEMENTATIONS, ["none", "shaw", "shaw_keys_alone", "t5", "alibi", "rotary"]),
        ("full", "rotary"),
        ("blockwise", "t5"),
        ("windowed", "alibi"),
    ),
)
def test_gradients_against_finite_differences(inputs, masks, rng, scheme, implementation):
    options = {"implementation": implementation, "window": 2 if implementation == "windowed" else None}
    layer = make(relative_positions=SCHEMES[scheme](), block_size=3, dtype="float64", **options)
    inputs = {name: tf.Variable(x, dtype=tf.float64) for name, x in inputs.items()}
    ramp = tf.reshape(tf.range(B * T * OUTPUT_DIM, dtype=tf.float64) / 97, (B, T, OUTPUT_DIM))

    def loss():
        tensors = {name: variable.value() for name, variable in inputs.items()}
        return tf.reduce_sum(layer(**tensors, **masks) * ramp)

    loss = tf.function(loss)
    with tf.GradientTape() as tape:
        value = loss()
    variables = [*inputs.values(), *(weight.value for weight in layer.trainable_weights)]
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        gradient = tf.convert_to_tensor(gradient)
        direction = tf.constant(rng.normal(size=variable.shape), variable.dtype)
        direction /= tf.norm(direction)
        step = 1e-2  # the softmax runs in float32: a smaller step would measure its rounding
        variable.assign_add(step * direction)
        above = loss()
        variable.assign_sub(2 * step * direction)
        difference = (above - loss()) / (2 * step)
        variable.assign_add(step * direction)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(
            float(difference), rel=1e-2, abs=5e-3
        )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_one_numeric_path(inputs, policy, dropout):
    """Neither asking for weights nor a dropout that is not in use changes a bit."""
    plain = make(dtype=policy)
    expected = plain(**inputs)
    other = twin(plain, dropout=dropout, dtype=policy)
    output, weights = other(**inputs, return_attention_scores=True)
    np.testing.assert_array_equal(tf.cast(output, tf.float32), tf.cast(expected, tf.float32))
    np.testing.assert_array_equal(tf.cast(other(**inputs), tf.float32), tf.cast(expected, tf.float32))
    assert weights.dtype == tf.float32


def test_dropout_drops_weights_in_training_and_returns_them_undropped(inputs):
    plain = make()
    plain(**inputs)
    layer = twin(plain, dropout=0.5, seed=3)
    output, weights = layer(**inputs, return_attention_scores=True, training=True)
    expected, undropped = plain(**inputs, return_attention_scores=True)
    np.testing.assert_array_equal(weights, undropped)
    assert not np.allclose(output, expected)
    mean = np.mean([layer(**inputs, training=True) for _ in range(41)], axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.3)
    assert not np.array_equal(layer(**inputs, training=True), layer(**inputs, training=True))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("num_keys", [T, S])
def test_only_the_distance_counts(rng, scheme, num_keys):
    """The last T queries of a longer sequence see what they see in it, for both are aligned to the end."""
    layer = make(relative_positions=SCHEMES[scheme]())
    rows = rng.normal(size=(B, num_keys, Q_DIM)).astype("float32")
    whole = layer(rows, rows, use_causal_mask=True)
    assert_close(layer(rows[:, -2:], rows, use_causal_mask=True), whole[:, -2:], TERMS)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("implementation", few(["full", "windowed"], "windowed"))
def test_config_round_trip(inputs, scheme, implementation):
    layer = make(
        relative_positions=SCHEMES[scheme](),
        implementation=implementation,
        window=3 if implementation == "windowed" else None,
        dropout=0.1,
        seed=5,
        name="attention",
        dtype="mixed_bfloat16",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.3, seed=5),
    )
    layer(**inputs)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is MultiHeadAttention
    assert again.get_config() == layer.get_config()
    again(**inputs)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(tf.cast(again(**inputs), tf.float32), tf.cast(layer(**inputs), tf.float32))


def test_saved_model_is_bit_equal_in_a_fresh_process(inputs, predict_in_fresh_process):
    """One model with a layer of every scheme, and of every implementation."""
    entries = {name: keras.Input((None, x.shape[-1]), name=name) for name, x in inputs.items()}
    outputs = []
    for scheme in SCHEMES.values():
        layer = make(relative_positions=scheme())
        outputs += layer(**entries, use_causal_mask=True, return_attention_scores=True)
    for options in ({"implementation": "blockwise"}, {"implementation": "windowed", "window": 2}):
        outputs.append(make(relative_positions=ALiBiPositions(), **options)(**entries))
    model = keras.Model(entries, outputs)
    expected = model(inputs)
    for one, other in zip(predict_in_fresh_process(model, inputs), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("policy", "scheme"),
    few(
        product(["float32", "float64", "mixed_float16", "mixed_bfloat16"], ["none", "shaw", "t5", "rotary"]),
        *(("float64", "none"), ("mixed_bfloat16", "t5"), ("mixed_float16", "shaw"), ("float32", "rotary")),
    ),
)
@pytest.mark.parametrize("flags", [{}, {"return_attention_scores": True}])
def test_symbolic_spec_equals_eager_shapes_and_dtypes(inputs, policy, flags, scheme):
    layer = make(dtype=policy, relative_positions=SCHEMES[scheme]())
    symbols = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype) for name, x in inputs.items()}
    symbolic = keras.tree.flatten(layer(**symbols, **flags))
    eager = keras.tree.flatten(layer(**inputs, **flags))
    assert len(symbolic) == len(eager) == 1 + len(flags)
    for symbol, tensor in zip(symbolic, eager, strict=True):
        assert (None, *tensor.shape[1:]) == symbol.shape
        assert tensor.dtype.name == symbol.dtype


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    few([("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)], ("mixed_float16", 0.01)),
)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_mixed_precision_is_close_to_float32(inputs, policy, tolerance, implementation):
    options = {"implementation": implementation, "window": 3 if implementation == "windowed" else None}
    exact = make(**options)
    value_mask = np.array([[True, False, True, True, True], [True, True, False, True, True]])
    expected = exact(**inputs, value_mask=value_mask)
    output = twin(exact, dtype=policy, **options)(**inputs, value_mask=value_mask)
    np.testing.assert_allclose(tf.cast(output, tf.float32), expected, atol=tolerance * 3)


@pytest.mark.parametrize(
    ("implementation", "jit_compile"),
    few(
        [("full", False), ("full", True), ("blockwise", False), ("blockwise", True), ("windowed", True)],
        ("full", False),
    ),
)
def test_trains_by_fit(rng, implementation, jit_compile):
    """The sequence is known by its first row: attention has to carry it to the last."""
    rows = rng.normal(size=(32, 7, 5)).astype("float32")
    entry = keras.Input((7, 5))
    window = 7 if implementation == "windowed" else None
    layer = MultiHeadAttention(
        2, 4, relative_positions=RotaryPositions(), implementation=implementation, window=window, block_size=3
    )
    model = keras.Model(entry, layer(entry, entry)[:, -1])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=jit_compile)
    history = model.fit(rows, rows[:, 0], batch_size=16, epochs=13, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]


def test_projections_of_equal_width_begin_with_different_numbers():
    layer = MultiHeadAttention(2, 3)
    layer.build((B, T, 6), (B, S, 6))
    kernels = [weight.numpy() for weight in layer.weights if weight.name == "kernel"]
    assert len(kernels) == 4
    assert not any(np.array_equal(kernels[i], kernels[j]) for i in range(4) for j in range(i))


def test_keys_are_never_repeated_for_the_heads_that_share_them(inputs):
    """No tensor of the graph is as large as the keys of all heads."""
    layer = MultiHeadAttention(30, 2, num_key_value_heads=1, output_shape=1, use_bias=False)
    shapes = [(1, 1, 2), (1, 101, 2)]
    layer.build(*shapes)
    graph = tf.function(layer).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph
    sizes = [tensor.shape.num_elements() or 0 for op in graph.get_operations() for tensor in op.outputs]
    assert max(sizes) == 30 * 101  # the weights; repeated keys would have 30 x 101 x 2


@pytest.mark.parametrize("name", ["num_heads", "key_dim", "value_dim", "num_key_value_heads", "block_size"])
@pytest.mark.parametrize("value", [0, -3, 2.0, "7", True])
def test_wrong_counts(name, value):
    options = {"num_heads": 2, "key_dim": 3} | {name: value}
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{value!r}"):
        MultiHeadAttention(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output_shape": (7, 11)}, r"`output_shape` must be a whole number.*\(7, 11\)"),
        ({"num_key_value_heads": 4}, r"Expected a divisor of num_heads=6. Received: num_key_value_heads=4"),
        ({"dropout": 1.0}, r"`dropout` must be a rate.*Received: dropout=1.0"),
        (
            {"relative_positions": "rotary"},
            r"must be None or a scheme.*Received: relative_positions='rotary'",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(6, 4, **options)


@pytest.mark.parametrize(
    "options", [{"implementation": "blockwise"}, {"implementation": "windowed", "window": 3}]
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_what_needs_all_weights_is_refused(inputs, options, symbolic):
    layer = make(**options)
    if symbolic:
        inputs = {name: keras.KerasTensor(x.shape) for name, x in inputs.items()}
    with pytest.raises(ValueError, match=r"The weights never exist as a whole.*Use implementation='full'"):
        layer(**inputs, return_attention_scores=True)
