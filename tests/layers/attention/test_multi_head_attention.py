"""MultiHeadAttention: by hand, against NumPy, masks, dtypes, saving, gradients, errors."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import (
    ALiBiPositions,
    MultiHeadAttention,
    RotaryPositions,
    ShawPositions,
    T5Positions,
)

from ...bounds import assert_close
from ...few import few

B, T, S, Q_DIM, V_DIM, K_DIM = 2, 3, 5, 7, 11, 13
HEADS, KEY_HEADS, KEY_WIDTH, VALUE_WIDTH, OUTPUT_DIM = 6, 2, 4, 17, 19
# What is added up on the way to a number.
TERMS = Q_DIM + V_DIM + K_DIM + KEY_WIDTH + S + HEADS * VALUE_WIDTH
SCHEMES = {
    "none": lambda: None,
    "shaw": lambda: ShawPositions(2),
    "shaw_keys_alone": lambda: ShawPositions(3, use_values=False),
    "t5": lambda: T5Positions(8, 5),
    "t5_causal": lambda: T5Positions(8, 7, bidirectional=False),
    "alibi": ALiBiPositions,
    "rotary": RotaryPositions,
    "rotary_half": lambda: RotaryPositions(base=101.0, layout="half"),
}

IMPLEMENTATIONS = ("full", "blockwise", "windowed")


def make(**options):
    """Sizes that all differ, and biases that are not 0."""
    sizes = {"value_dim": VALUE_WIDTH, "num_key_value_heads": KEY_HEADS, "output_shape": OUTPUT_DIM}
    options = {**sizes, "bias_initializer": "random_normal", **options}
    return MultiHeadAttention(HEADS, KEY_WIDTH, **options)


def twin(layer, **options):
    """A layer with other options and the same weights."""
    other = make(**options)
    other.build((B, T, Q_DIM), (B, S, V_DIM), (B, S, K_DIM))
    other.set_weights(layer.get_weights())
    return other


def dense(projection, x):
    return x @ np.asarray(projection.kernel) + np.asarray(projection.bias)


def oracle(layer, query, value, key, keep):
    """The formula of the docstring in loops over batch, heads and queries; `keep` is `[B, H, T, S]`."""
    q = dense(layer.query_projection, query).reshape(B, T, HEADS, -1)
    k = dense(layer.key_projection, key).reshape(B, S, layer.num_key_value_heads, -1)
    v = dense(layer.value_projection, value).reshape(B, S, layer.num_key_value_heads, -1)
    context, weights = np.zeros((B, T, HEADS, v.shape[-1])), np.zeros((B, HEADS, T, S))
    for b, h, t in np.ndindex(B, HEADS, T):
        group = h * layer.num_key_value_heads // HEADS
        energy = np.exp(k[b, :, group] @ q[b, t, h] / np.sqrt(KEY_WIDTH)) * keep[b, h, t]
        weights[b, h, t] = energy / max(energy.sum(), 1e-30)
        context[b, t, h] = weights[b, h, t] @ v[b, :, group]
    output = dense(layer.output_projection, context.reshape(B, T, -1))
    return output * keep.any((1, 3))[..., None], weights


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


@pytest.fixture
def masks(rng):
    masks = {"query_mask": (B, T), "value_mask": (B, S), "key_mask": (B, S)}
    return {name: rng.random(shape) < 0.8 for name, shape in masks.items()}


def combined(masks, attention_mask=True, causal=False):
    keep = masks["query_mask"][:, :, None] & (masks["value_mask"] & masks["key_mask"])[:, None]
    keep = keep & np.tri(T, S, S - T, dtype=bool) if causal else keep
    return np.broadcast_to(keep[:, None] & attention_mask, (B, HEADS, T, S))


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
        *(("full", "rotary"), ("full", "shaw")),
        *(("blockwise", "shaw"), ("blockwise", "t5")),
        *(("windowed", "alibi"), ("windowed", "shaw_keys_alone")),
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


@pytest.mark.parametrize(
    ("implementation", "jit_compile"),
    few(
        [("full", False), ("full", True), ("blockwise", False), ("blockwise", True), ("windowed", True)],
        *(("full", False), ("windowed", True)),
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
