"""AttentionCell and AttentionRNN: step by step with every attention and option, saved, exported, trained."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export import check_ops
from keras_attn.layers import (
    AttentionCell,
    AttentionRNN,
    BahdanauAttention,
    CoverageAttention,
    LocationSensitiveAttention,
    LuongAttention,
    LuongLocalAttention,
    MonotonicAttention,
)

from ...bounds import assert_close
from ...few import few

B, K, T, S, D, M, H, UNITS, VECTOR = 2, 3, 5, 7, 11, 13, 17, 19, 23
# What is added up on the way to a number.
TERMS = T * (D + M + H + UNITS + VECTOR + S)
CELLS = {
    "gru": lambda: keras.layers.GRUCell(H),
    "lstm": lambda: keras.layers.LSTMCell(H),
    "stacked": lambda: keras.layers.StackedRNNCells([keras.layers.LSTMCell(29), keras.layers.GRUCell(H)]),
}
ATTENTIONS = {
    "bahdanau": lambda: BahdanauAttention(UNITS),
    "normalised": lambda: BahdanauAttention(UNITS, normalize=True),
    "general": lambda: LuongAttention("general", scale=True),
    "concat": lambda: LuongAttention("concat", units=UNITS),
    "coverage": lambda: CoverageAttention(UNITS),
    "fertility": lambda: CoverageAttention(UNITS, fertility=2.0),
    "location": lambda: LocationSensitiveAttention(UNITS, filters=3, kernel_size=5),
    "local_p": lambda: LuongLocalAttention(2),
    "local_m": lambda: LuongLocalAttention(2, alignment="monotonic"),
    "monotonic": lambda: MonotonicAttention(BahdanauAttention(UNITS, normalize=True)),
    "recursive": lambda: MonotonicAttention(LuongAttention("general"), "recursive"),
    "hard": lambda: MonotonicAttention(CoverageAttention(UNITS), "hard", score_bias=0.5),
}
OPTIONS = {
    "bahdanau": {},
    "bahdanau_fed": {"input_feeding": True, "attention_units": VECTOR},
    "luong": {"order": "luong"},
    "luong_fed": {"order": "luong", "input_feeding": True, "attention_units": VECTOR},
    "luong_fed_context": {"order": "luong", "input_feeding": True, "output": "attention"},
    "luong_hidden": {"order": "luong", "attention_units": VECTOR, "output": "hidden"},
}
WIDTHS = {
    "bahdanau": H + M,
    "bahdanau_fed": VECTOR,
    "luong": H + M,
    "luong_fed": VECTOR,
    "luong_fed_context": M,
    "luong_hidden": H,
}


@pytest.fixture
def inputs(rng):
    return {
        "sequences": rng.normal(size=(B, T, D)).astype("float32"),
        "memory": rng.normal(size=(B, S, M)).astype("float32"),
        "memory_mask": np.array([[True, True, True, True, False, False, False], [True] * S]),
    }


def made(rng, cell="gru", attention="bahdanau", options="bahdanau", kind=AttentionRNN):
    layer = kind(CELLS[cell](), ATTENTIONS[attention](), **OPTIONS[options])
    layer.build((B, None, D), (B, S, M))
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer


def close(one, other):
    assert_close(one, other, TERMS)


def check_steps(rnn, inputs, width):
    """The whole pass equals one step after the other."""
    outputs, weights = rnn(**inputs, return_attention_scores=True)
    assert outputs.shape == (B, T, width)
    memory = rnn.prepare_memory(inputs["memory"], inputs["memory_mask"])
    state = rnn.initial_state(memory)
    for t in range(T):
        shapes = [(part.shape, part.dtype) for part in state]
        step, state, context, row = rnn.step(inputs["sequences"][:, t : t + 1], state, memory)
        close(step[:, 0], outputs[:, t])
        close(row[:, 0], weights[:, t])
        close(context[:, 0], np.einsum("bs,bsd->bd", row[:, 0], inputs["memory"]))
        assert [(part.shape, part.dtype) for part in state] == shapes


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("options", few(["bahdanau", "luong_fed"], "luong_fed"))
def test_every_attention_step_by_step(inputs, rng, attention, options):
    check_steps(made(rng, "gru", attention, options), inputs, WIDTHS[options])


@pytest.mark.parametrize(
    ("cell", "options"),
    few(product(CELLS, OPTIONS), *product(["gru"], OPTIONS), *product(CELLS, ["luong_fed"])),
)
def test_every_option_step_by_step(inputs, rng, cell, options):
    check_steps(made(rng, cell, "coverage", options), inputs, WIDTHS[options])


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_hypotheses_of_a_row_share_its_memory_and_nothing_else(inputs, rng, attention):
    """K hypotheses at once equal each of them alone, after they have gone apart."""
    rnn = made(rng, "lstm", attention, "luong_fed")
    memory = rnn.prepare_memory(inputs["memory"], inputs["memory_mask"])
    steps = rng.normal(size=(T, B, K, D)).astype("float32")
    state = [np.repeat(part, K, axis=1) for part in rnn.initial_state(memory)]
    together = []
    for inputs_t in steps:
        output, state, _, weights = rnn.step(inputs_t, state, memory)
        together.append((output, weights))
    for k in range(K):
        state = rnn.initial_state(memory)
        for inputs_t, (output, weights) in zip(steps, together, strict=True):
            alone, state, _, row = rnn.step(inputs_t[:, k : k + 1], state, memory)
            close(alone, output[:, k : k + 1])
            close(row, weights[:, k : k + 1])


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_padding_of_the_memory_changes_nothing(inputs, rng, attention):
    rnn = made(rng, "gru", attention, "luong_fed")
    padded = inputs | {
        "memory": np.concatenate([inputs["memory"], rng.normal(size=(B, 5, M))], axis=1).astype("float32"),
        "memory_mask": np.pad(inputs["memory_mask"], ((0, 0), (0, 5))),
    }
    close(rnn(**padded), rnn(**inputs))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_memory_with_nothing_to_see_gives_zeros_and_finite_gradients(inputs, rng, attention):
    rnn = made(rng, "gru", attention, "bahdanau")
    inputs["memory_mask"] = np.array([[False] * S, [True] * S])
    with tf.GradientTape() as tape:
        outputs, weights = rnn(**inputs, return_attention_scores=True)
        loss = tf.reduce_sum(outputs**2)
    assert (np.asarray(weights)[0] == 0).all()
    assert (np.asarray(outputs)[0, :, H:] == 0).all()
    gradients = tape.gradient(loss, [weight.value for weight in rnn.trainable_weights])
    assert all(np.isfinite(x).all() for x in gradients if x is not None)


def test_the_cell_is_one_step_of_the_rnn(inputs, rng):
    rnn, cell = (
        made(rng, "stacked", "location", "luong_fed", kind) for kind in (AttentionRNN, AttentionCell)
    )
    cell.set_weights(rnn.get_weights())
    outputs, weights = rnn(**inputs, return_attention_scores=True)
    state = None
    for t in range(T):
        step, state, row = cell(
            inputs["sequences"][:, t : t + 1], inputs["memory"], state, inputs["memory_mask"]
        )
        close(step[:, 0], outputs[:, t])
        close(row[:, 0], weights[:, t])


def test_the_cell_begins_for_every_hypothesis(inputs, rng):
    cell = made(rng, "lstm", "coverage", "luong_fed", AttentionCell)
    steps = rng.normal(size=(B, K, D)).astype("float32")
    output, state, weights = cell(steps, inputs["memory"], memory_mask=inputs["memory_mask"])
    assert (output.shape, weights.shape) == ((B, K, VECTOR), (B, K, S))
    assert [part.shape for part in state] == [(B, K, H), (B, K, H), (B, K, VECTOR), (B, K, S)]


def test_a_step_needs_no_build(inputs):
    """As the docstring's loop has it: the memory builds the attention, the first input the rest."""
    cell = AttentionCell(CELLS["gru"](), ATTENTIONS["concat"](), **OPTIONS["luong_fed"])
    memory = cell.prepare_memory(inputs["memory"])
    output, *_ = cell.step(inputs["sequences"][:, :1], cell.initial_state(memory), memory)
    assert output.shape == (B, 1, VECTOR)


def test_initial_state_of_the_cell(inputs, rng):
    rnn = made(rng, "lstm", "coverage", "luong_fed")
    memory = rnn.prepare_memory(inputs["memory"])
    given = [rng.normal(size=(B, H)).astype("float32") for _ in range(2)]
    state = rnn.initial_state(memory, given)
    np.testing.assert_array_equal(state[0][:, 0], given[0])
    assert all((np.asarray(part) == 0).all() for part in state[2:])
    output, *_ = rnn.step(inputs["sequences"][:, :1], state, memory)
    everything = inputs | {"memory_mask": None}
    close(output[:, 0], rnn(**everything, initial_state=given)[:, 0])


def test_an_activation_of_ones_own(inputs, rng):
    linear, tanh = (
        AttentionRNN(CELLS["gru"](), ATTENTIONS["bahdanau"](), attention_units=VECTOR, **options)
        for options in ({"attention_activation": None}, {})
    )
    linear(**inputs), tanh(**inputs)
    linear.set_weights(tanh.get_weights())
    close(np.tanh(linear(**inputs)), tanh(**inputs))


@pytest.mark.parametrize("policy", few(["float32", "mixed_float16"], "mixed_float16"))
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_symbolic_spec_equals_eager_shapes_and_dtypes(inputs, policy, attention):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        rnn = AttentionRNN(CELLS["stacked"](), ATTENTIONS[attention](), **OPTIONS["luong_fed"])
    finally:
        keras.config.set_dtype_policy(before)
    symbols = {name: keras.KerasTensor((None, *x.shape[1:]), x.dtype.name) for name, x in inputs.items()}
    for flags in ({}, {"return_attention_scores": True}):
        symbolic = keras.tree.flatten(rnn(**symbols, **flags))
        eager = keras.tree.flatten(rnn(**inputs, **flags))
        assert len(eager) == 1 + len(flags)
        for symbol, tensor in zip(symbolic, eager, strict=True):
            assert (None, *tensor.shape[1:]) == symbol.shape
            assert tensor.dtype.name == symbol.dtype
            assert np.isfinite(tf.cast(tensor, tf.float32)).all()


def test_symbolic_spec_of_the_cell(inputs, rng):
    cell = made(rng, "lstm", "coverage", "luong_fed", AttentionCell)
    symbols = [keras.KerasTensor((None, K, D)), keras.KerasTensor((None, S, M))]
    eager = cell(rng.normal(size=(B, K, D)), inputs["memory"])
    pairs = zip(keras.tree.flatten(cell(*symbols)), keras.tree.flatten(eager), strict=True)
    for symbol, tensor in pairs:
        assert (None, *tensor.shape[1:]) == symbol.shape
        assert tensor.dtype.name == symbol.dtype


@pytest.mark.parametrize("kind", [AttentionRNN, AttentionCell])
@pytest.mark.parametrize("options", OPTIONS)
def test_config_round_trip(rng, kind, options):
    layer = made(rng, "stacked", "monotonic", options, kind)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is kind
    assert again.get_config() == layer.get_config()
    assert [x.shape for x in again.weights] == [x.shape for x in layer.weights]


def test_saved_models_are_bit_equal_in_a_fresh_process(inputs, rng, predict_in_fresh_process):
    """Every attention and every option in one model: a process costs more than they do."""
    entries = {name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name) for name, x in inputs.items()}
    kinds = [("location", "luong_fed"), ("hard", "bahdanau_fed"), ("local_m", "luong_hidden")]
    outputs = []
    for number, (attention, options) in enumerate(kinds):
        rnn = AttentionRNN(CELLS["lstm"](), ATTENTIONS[attention](), **OPTIONS[options], name=f"rnn_{number}")
        outputs.append(rnn(**entries, return_attention_scores=True))
    cell = AttentionCell(CELLS["stacked"](), ATTENTIONS["coverage"](), **OPTIONS["luong_fed"], name="cell")
    outputs.append(cell(entries["sequences"], entries["memory"], memory_mask=entries["memory_mask"]))
    model = keras.Model(entries, outputs)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    expected = keras.tree.flatten(model(inputs))
    received = predict_in_fresh_process(model, inputs)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "attention",
    few(
        ["concat", "fertility", "location", "local_p", "local_m", "monotonic", "recursive", "hard"],
        *("location", "local_p", "recursive"),
    ),
)
def test_exports_to_what_a_session_runs(inputs, rng, attention, tmp_path):
    """As TensorFlow Serving does: a graph with sizes unknown, no XLA and no Python in it."""
    rnn = made(rng, "lstm", attention, "luong_fed")
    module = tf.Module()
    module.weights = [weight.value for weight in rnn.weights]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D], name="sequences"),
            tf.TensorSpec([None, None, M], name="memory"),
            tf.TensorSpec([None, None], tf.bool, name="memory_mask"),
        ]
    )
    def run(sequences, memory, memory_mask):
        outputs, weights = rnn(sequences, memory, memory_mask, return_attention_scores=True)
        return {"outputs": outputs, "weights": weights}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": run.get_concrete_function()})
    check_ops(tmp_path)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        signature = loaded.signature_def["serving_default"]
        fetches = {name: info.name for name, info in signature.outputs.items()}
        answer = session.run(fetches, {signature.inputs[name].name: x for name, x in inputs.items()})
    outputs, weights = rnn(**inputs, return_attention_scores=True)
    close(answer["outputs"], outputs)
    close(answer["weights"], weights)


@pytest.mark.parametrize("attention", few(ATTENTIONS, "fertility", "local_m", "recursive", "hard"))
def test_gradients_reach_every_weight_inside_a_graph(inputs, rng, attention):
    rnn = made(rng, "gru", attention, "luong_fed")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, D]),
            tf.TensorSpec([None, None, M]),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def gradients(sequences, memory, memory_mask):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(rnn(sequences, memory, memory_mask, training=True) ** 2)
        return tape.gradient(loss, [weight.value for weight in rnn.trainable_weights])

    found = gradients(*inputs.values())
    assert all(np.isfinite(gradient).all() for gradient in found if gradient is not None)
    if attention != "hard":  # whose weights are steps: nothing reaches what scores
        assert all(np.any(gradient) for gradient in found)


@pytest.mark.parametrize("attention", few(["location", "monotonic", "bahdanau"], "monotonic"))
def test_trains_with_fit(inputs, attention):
    """Noise included: the loop runs inside Keras' own training step."""
    layer = ATTENTIONS[attention]()
    if attention == "monotonic":
        layer = MonotonicAttention(layer.attention, sigmoid_noise=1.0)
    entries = {name: keras.Input(x.shape[1:], dtype=x.dtype.name, name=name) for name, x in inputs.items()}
    rnn = AttentionRNN(CELLS["gru"](), layer, **OPTIONS["luong_fed"])
    model = keras.Model(entries, rnn(**entries))
    adam = keras.optimizers.Adam()
    adam.build(model.trainable_variables)  # else TensorFlow traces the step twice
    model.compile(adam, "mse", jit_compile=False)
    losses = model.fit(inputs, np.ones((B, T, VECTOR)), epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "choice"), [("order", "google"), ("output", "context")])
def test_an_unknown_choice(name, choice):
    with pytest.raises(ValueError, match=rf"`{name}` is unknown. Expected one of .*{name}='{choice}'"):
        AttentionRNN(CELLS["gru"](), ATTENTIONS["bahdanau"](), **{name: choice})


def test_an_attention_that_cannot_step():
    with pytest.raises(ValueError, match=r"`attention` must have a method.*Derive your own from"):
        AttentionCell(CELLS["gru"](), keras.layers.Attention())
