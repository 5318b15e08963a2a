"""What every attention that runs step by step must do, and what the base gives to one of your own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import (
    BahdanauAttention,
    CoverageAttention,
    LocationSensitiveAttention,
    LuongAttention,
    LuongLocalAttention,
    MonotonicAttention,
    StepAttention,
)

from ...bounds import assert_close
from ...few import few

B, T, S, Q_DIM, V_DIM, K_DIM, UNITS = 2, 3, 5, 7, 11, 13, 17
# What is added up on the way to a number.
TERMS = T * (Q_DIM + V_DIM + K_DIM + UNITS + S)
ATTENTIONS = {
    "bahdanau": lambda **kw: BahdanauAttention(UNITS, **kw),
    "normalised": lambda **kw: BahdanauAttention(UNITS, normalize=True, **kw),
    "general": lambda **kw: LuongAttention("general", **kw),
    "scaled": lambda **kw: LuongAttention("general", scale=True, **kw),
    "concat": lambda **kw: LuongAttention("concat", units=UNITS, **kw),
    "coverage": lambda **kw: CoverageAttention(UNITS, **kw),
    "fertility": lambda **kw: CoverageAttention(UNITS, normalize=True, fertility=2.0, **kw),
    "location": lambda **kw: LocationSensitiveAttention(UNITS, filters=19, kernel_size=3, **kw),
    "cumulative": lambda **kw: LocationSensitiveAttention(
        UNITS, 19, 7, cumulative=True, normalize=True, **kw
    ),
    "local_p": lambda **kw: LuongLocalAttention(2, **kw),
    "local_m": lambda **kw: LuongLocalAttention(1, "concat", units=UNITS, alignment="monotonic", **kw),
    "monotonic": lambda **kw: MonotonicAttention(BahdanauAttention(UNITS, normalize=True, **kw), **kw),
    "recursive": lambda **kw: MonotonicAttention(LuongAttention("general", **kw), "recursive", **kw),
    "hard": lambda **kw: MonotonicAttention(CoverageAttention(UNITS, **kw), "hard", score_bias=0.5, **kw),
}
STATELESS = {"bahdanau", "normalised", "general", "scaled", "concat", "local_p"}


@pytest.fixture(params=ATTENTIONS)
def kind(request, rng):
    return request.param


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def made(kind, inputs, rng, **keywords):
    """A built layer with every weight at random: biases, gains and the like do not hide at 0 and 1."""
    layer = ATTENTIONS[kind](**keywords)
    layer.build(*(inputs[name].shape for name in ("query", "value", "key")))
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return layer


def one_by_one(layer, query, value, key, keep=None):
    """Every query with the state that the one before left: contexts, weights and states."""
    memory = layer.project_memory(key)
    state = layer.initial_attention_state(memory)
    steps = []
    for t in range(query.shape[1]):
        row = None if keep is None else keep[:, t : t + 1]
        context, weights, state = layer.attend(query[:, t : t + 1], memory, value, row, state)
        steps.append((context, weights, state))
    contexts, weights, states = zip(*steps, strict=True)
    return np.concatenate(contexts, axis=1), np.concatenate(weights, axis=1), states


def close(one, other):
    assert_close(one, other, TERMS)


def test_the_call_takes_the_queries_in_order(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    keep = rng.random((B, T, S)) < 0.7
    context, weights = layer(**inputs, attention_mask=keep, return_attention_scores=True)
    contexts, rows, _ = one_by_one(layer, **inputs, keep=keep)
    close(context, contexts)
    close(weights, rows)
    assert (np.asarray(weights)[~keep] == 0).all()
    np.testing.assert_array_equal(layer(**inputs, attention_mask=keep), context)


def test_the_context_is_the_weighted_sum(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    context, weights = layer(**inputs, return_attention_scores=True)
    close(context, np.einsum("bts,bsd->btd", weights, inputs["value"]))
    assert np.sum(weights, axis=-1).max() < 1 + 1e-5


def test_the_key_is_the_value_when_none(kind, inputs, rng):
    layer = made(kind, inputs | {"key": inputs["value"]}, rng)
    query, value = inputs["query"], inputs["value"]
    np.testing.assert_array_equal(layer(query, value), layer(query, value, value))


def test_state_in_and_out_have_one_form(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    memory = layer.project_memory(inputs["key"])
    before = layer.initial_attention_state(memory)
    assert (before == ()) == (kind in STATELESS)
    after = layer.attend(inputs["query"][:, :1], memory, inputs["value"], None, before)[2]
    assert [(x.shape, x.dtype) for x in before] == [(x.shape, x.dtype) for x in after]
    assert all(x.shape[:2] == (B, 1) and len(x.shape) == 3 for x in before)


def test_without_a_state_the_initial_one(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    memory = layer.project_memory(inputs["key"])
    start = tuple(keras.ops.repeat(x, T, axis=1) for x in layer.initial_attention_state(memory))
    given = layer.attend(inputs["query"], memory, inputs["value"], None, start)
    for one, other in zip(
        keras.tree.flatten(layer.attend(inputs["query"], memory, inputs["value"])),
        keras.tree.flatten(given),
        strict=True,
    ):
        close(one, other)


def test_hypotheses_of_a_row_do_not_meet(kind, inputs, rng):
    """Three queries at once, each with a state of its own, equal each of them alone."""
    layer = made(kind, inputs, rng)
    memory, value, query = layer.project_memory(inputs["key"]), inputs["value"], inputs["query"]
    _, _, states = one_by_one(layer, **inputs)
    together = tuple(np.concatenate(parts, axis=1) for parts in zip(*states, strict=True))
    keep = np.array([[[True] * S], [[True, True, True, False, False]]])
    expected = layer.attend(query, memory, value, keep, together)
    for k in range(T):
        state = tuple(x[:, k : k + 1] for x in together)
        alone = layer.attend(query[:, k : k + 1], memory, value, keep, state)
        pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(alone), strict=True)
        for one, other in pairs:
            close(one[:, k : k + 1], other)


def test_a_masked_query_changes_nothing_for_those_after_it(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    query_mask = np.array([[True, False, True]] * B)
    _, weights = layer(**inputs, query_mask=query_mask, return_attention_scores=True)
    without = inputs | {"query": inputs["query"][:, ::2]}
    _, expected = layer(**without, return_attention_scores=True)
    close(np.asarray(weights)[:, ::2], expected)
    assert (np.asarray(weights)[:, 1] == 0).all()


@pytest.mark.parametrize("pads", [7])
def test_padding_at_the_end_changes_nothing(kind, inputs, rng, pads):
    layer = made(kind, inputs, rng)
    expected = layer(**inputs, return_attention_scores=True)
    padded = dict(inputs)
    for name in ("value", "key"):
        padded[name] = np.concatenate([inputs[name], rng.normal(size=(B, pads, inputs[name].shape[-1]))], 1)
    value_mask = np.arange(S + pads)[None] < np.full((B, 1), S)
    context, weights = layer(**padded, value_mask=value_mask, return_attention_scores=True)
    close(context, expected[0])
    close(np.asarray(weights)[..., :S], expected[1])
    assert (np.asarray(weights)[..., S:] == 0).all()


@pytest.mark.parametrize("policy", few(["float32", "mixed_bfloat16", "mixed_float16"], "mixed_float16"))
def test_a_query_with_nothing_to_see_gets_zeros_and_finite_gradients(kind, inputs, rng, policy):
    layer = made(kind, inputs, rng, dtype=policy)
    value_mask = np.array([[False] * S, [True] * S])
    variables = [weight.value for weight in layer.trainable_weights]
    tensors = {name: tf.Variable(x) for name, x in inputs.items()}
    with tf.GradientTape() as tape:
        values = {name: variable.value() for name, variable in tensors.items()}
        context, weights = layer(**values, value_mask=value_mask, return_attention_scores=True)
        loss = tf.reduce_sum(tf.cast(context, tf.float32) ** 2)
    assert context.dtype.name == layer.compute_dtype
    assert weights.dtype == tf.float32
    assert (weights[0].numpy() == 0).all()
    assert (tf.cast(context[0], tf.float32).numpy() == 0).all()
    gradients = [x for x in tape.gradient(loss, [*variables, *tensors.values()]) if x is not None]
    assert len(gradients) > 1 or kind == "hard"
    assert all(np.isfinite(x).all() for x in gradients)


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    few([("mixed_bfloat16", 0.08), ("mixed_float16", 0.02)], ("mixed_float16", 0.02)),
)
@pytest.mark.parametrize("soft", [name for name in ATTENTIONS if name != "hard"])
def test_mixed_precision_is_close_to_float32(soft, inputs, rng, policy, tolerance):
    exact, mixed = made(soft, inputs, rng), ATTENTIONS[soft](dtype=policy)
    mixed.build(*(inputs[name].shape for name in ("query", "value", "key")))
    mixed.set_weights(exact.get_weights())
    expected = exact(**inputs, return_attention_scores=True)[1]
    weights = mixed(**inputs, return_attention_scores=True)[1]
    assert np.median(np.abs(weights - expected)) < tolerance


@pytest.mark.parametrize(
    "policy", few(["float32", "float64", "mixed_float16", "mixed_bfloat16"], "mixed_bfloat16")
)
def test_symbolic_spec_equals_eager_shapes_and_dtypes(kind, inputs, rng, policy):
    layer = ATTENTIONS[kind](dtype=policy)
    symbols = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype) for name, x in inputs.items()}
    for flags in ({}, {"return_attention_scores": True}):
        symbolic = keras.tree.flatten(layer(**symbols, **flags))
        eager = keras.tree.flatten(layer(**inputs, **flags))
        assert len(symbolic) == len(eager) == 1 + len(flags)
        for symbol, tensor in zip(symbolic, eager, strict=True):
            assert (None, *tensor.shape[1:]) == symbol.shape
            assert tensor.dtype.name == symbol.dtype


def test_inside_a_graph_whose_sizes_are_unknown(kind, inputs, rng):
    layer = made(kind, inputs, rng)
    signature = [tf.TensorSpec([None, None, x.shape[-1]]) for x in inputs.values()]
    mask = tf.TensorSpec([None, None], tf.bool)

    @tf.function(input_signature=[*signature, mask])
    def run(query, value, key, value_mask):
        return layer(query, value, key, value_mask=value_mask, return_attention_scores=True)

    value_mask = rng.random((B, S)) < 0.8
    expected = layer(**inputs, value_mask=value_mask, return_attention_scores=True)
    for one, other in zip(run(*inputs.values(), value_mask), expected, strict=True):
        close(one, other)


def test_config_round_trip(kind, inputs, rng):
    layer = made(kind, inputs, rng, dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    assert again.compute_dtype == "bfloat16"
    assert again.built  # from the shapes in the configuration
    again.set_weights(layer.get_weights())
    for one, other in zip(
        layer(**inputs, return_attention_scores=True),
        again(**inputs, return_attention_scores=True),
        strict=True,
    ):
        np.testing.assert_array_equal(tf.cast(one, tf.float32), tf.cast(other, tf.float32))


def test_saved_models_are_bit_equal_in_a_fresh_process(inputs, rng, predict_in_fresh_process):
    """All kinds in one model: a process costs more than they do."""
    entries = {name: keras.Input((None, x.shape[-1]), name=name) for name, x in inputs.items()}
    layers = [make(name=name) for name, make in ATTENTIONS.items()]
    outputs = [layer(**entries, use_causal_mask=True, return_attention_scores=True) for layer in layers]
    model = keras.Model(entries, outputs)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    expected = keras.tree.flatten(model(inputs))
    received = predict_in_fresh_process(model, inputs)
    assert len(received) == 2 * len(ATTENTIONS)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "soft",
    few(
        [name for name in ATTENTIONS if name != "hard"],
        *("normalised", "scaled", "concat", "fertility", "cumulative", "local_p", "monotonic", "recursive"),
    ),
)
def test_gradients_against_finite_differences(soft, inputs, rng):
    layer = made(soft, inputs, rng, dtype="float64")
    tensors = {name: tf.Variable(x, dtype=tf.float64) for name, x in inputs.items()}
    ramp = tf.reshape(tf.range(B * T * V_DIM, dtype=tf.float64) / 97, (B, T, V_DIM))
    value_mask = np.array([[True] * S, [True, True, False, True, True]])

    @tf.function
    def loss_and_gradients():
        with tf.GradientTape() as tape:
            values = {name: variable.read_value() for name, variable in tensors.items()}
            loss = tf.reduce_sum(layer(**values, value_mask=value_mask) * ramp)
        return loss, tape.gradient(loss, variables, unconnected_gradients="zero")

    variables = [*tensors.values(), *(weight.value for weight in layer.trainable_weights)]
    _, gradients = loss_and_gradients()
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = tf.constant(rng.normal(size=variable.shape))
        direction /= tf.norm(direction)
        step = 1e-2  # the softmax runs in float32: a smaller step would measure its rounding
        variable.assign_add(step * direction)
        above, _ = loss_and_gradients()
        variable.assign_sub(2 * step * direction)
        below, _ = loss_and_gradients()
        variable.assign_add(step * direction)
        expected = float((above - below) / (2 * step))
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(expected, rel=1e-2, abs=2e-3)


def test_implicit_masks_are_honoured_and_the_query_mask_is_passed_on(kind):
    targets, sources = np.array([[3, 1, 0], [2, 5, 4]]), np.array([[1, 2, 3, 0, 0], [5, 4, 3, 2, 1]])
    embedding = keras.layers.Embedding(7, V_DIM, mask_zero=True)
    layer = ATTENTIONS[kind]()
    context, weights = layer(embedding(targets), embedding(sources), return_attention_scores=True)
    hidden = ~((targets != 0)[:, :, None] & (sources != 0)[:, None])
    assert (np.asarray(weights)[hidden] == 0).all()
    np.testing.assert_array_equal(context._keras_mask, targets != 0)


def lost_mask():
    """An embedded source whose padding mask is dropped on the way."""
    source = keras.Input((S,), dtype="int32")
    embedded = keras.layers.Embedding(7, V_DIM, mask_zero=True)(source)
    return source, embedded, keras.ops.multiply(embedded, 2.0)


def test_a_mask_that_got_lost_on_its_way():
    _, _, value = lost_mask()
    with pytest.raises(ValueError, match=r"padding mask of .*'coverage' got lost at .*Pass `value_mask=`"):
        CoverageAttention(UNITS, name="coverage")(keras.Input((T, Q_DIM)), value)


def test_no_alarm_where_a_mask_is_given_or_never_was():
    query, (source, embedded, value) = keras.Input((T, Q_DIM)), lost_mask()
    keep = keras.ops.not_equal(source, 0)
    layer = BahdanauAttention(UNITS)
    outputs = [
        layer(query, embedded),
        layer(query, value, value_mask=keep),
        layer(query, value, key_mask=keep),
        layer(query, value, attention_mask=keep[:, None]),
        layer(query, keras.Input((S, V_DIM)) * 2.0),
    ]
    assert all(output.shape == (None, T, V_DIM) for output in outputs)


def test_a_subclass_without_its_methods(inputs):
    with pytest.raises(NotImplementedError, match=r"`StepAttention` must have a method `project_memory"):
        StepAttention().project_memory(inputs["key"])
    with pytest.raises(NotImplementedError, match=r"`StepAttention` must have a method `logits"):
        StepAttention().attend(inputs["query"], inputs["key"], inputs["value"])
