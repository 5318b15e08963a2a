"""Contract of every layer: one row per layer, and every test runs over all rows.

The rows are in `tests/layer_rows.py`; without one, `test_every_layer_has_a_row` fails.
"""

import copy
import inspect
import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import layers

from ..few import few
from ..layer_rows import ABSTRACT, MEMORIES, ROWS, B, T

PADDING = 7
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


# Layers whose steps XLA compiles in little time; between them a convolution, a window, a table and heads.
SOON_COMPILED = (
    "GatedConvolution/weight_normalization",
    "LearnedPositionalEmbedding",
    "LuongLocalAttention",
    "MultiHeadAttention",
)
EVERY_LAYER = pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])


@pytest.fixture
def policy(request):
    """A dtype policy for all layers made in the test; `under` gives it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def under(policy):
    """Runs a test under one policy, and with all tests under the others."""
    return pytest.mark.parametrize("policy", few(POLICIES, policy), indirect=True)


def arrays(row, rng):
    """Inputs, and masks of rows that end early."""
    tensors = {name: rng.normal(size=shape).astype("float32") for name, shape in row.inputs.items()}
    for mask, name in row.masks.items():
        lengths = np.array([[row.inputs[name][1]], [row.inputs[name][1] - 1]])
        tensors[mask] = np.arange(row.inputs[name][1]) < lengths
    return tensors


def flags(row):
    return {"return_attention_scores": True} if row.scores else {}


def functional(layer, tensors, first_output_only=False, **kwargs):
    """A model of the layer alone, of any length."""
    entries = {
        name: keras.Input((None, *x.shape[2:]), dtype=x.dtype.name, name=name) for name, x in tensors.items()
    }
    outputs = layer(**entries, **kwargs)
    return keras.Model(entries, first(outputs) if first_output_only else outputs)


def first(outputs):
    return keras.tree.flatten(outputs)[0]


def numbers(structure):
    """A structure of tensors as a flat list of float32 arrays."""
    return [ops.convert_to_numpy(x).astype("float32") for x in keras.tree.flatten(structure)]


def signature(tensors):
    return [(tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in keras.tree.flatten(tensors)]


def gradients(loss, tensors):
    """The gradients of a scalar function of a list of float tensors, on any backend."""
    tensors = [ops.convert_to_tensor(x) for x in tensors]
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(loss)(tensors)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(tensors)
    return tape.gradient(value, tensors, unconnected_gradients="zero")  # as on JAX


def test_every_layer_has_a_row():
    """But for relative positions, which are parts of an attention and are not called."""
    public = {name: getattr(layers, name) for name in layers.__all__}
    called = {name for name, layer in public.items() if not issubclass(layer, layers.RelativePositions)}
    assert {name.partition("/")[0] for name in ROWS} == called - ABSTRACT


@EVERY_LAYER
def test_configuration_is_complete_and_survives_json(row):
    layer = row.make()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self"}
    assert named <= set(layer.get_config())
    written = keras.saving.serialize_keras_object(layer)
    assert written["registered_name"] == f"keras_attn>{type(layer).__name__}"
    again = keras.saving.deserialize_keras_object(json.loads(json.dumps(written)))
    assert type(again) is type(layer)
    assert keras.saving.serialize_keras_object(again) == written
    assert again.get_config() == layer.get_config()


@EVERY_LAYER
def test_a_layer_from_a_configuration_computes_the_same(row, rng):
    layer, tensors = row.make(), arrays(row, rng)
    again = type(layer).from_config(layer.get_config())
    for one in (layer, again):
        one(**tensors)
    again.set_weights(layer.get_weights())
    for one, other in zip(numbers(layer(**tensors)), numbers(again(**tensors)), strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_LAYER
def test_a_configuration_is_left_as_it_is(row):
    layer = row.make()
    config = layer.get_config()
    before = copy.deepcopy(config)
    for _ in range(2):
        type(layer).from_config(config)
    assert config == before


@EVERY_LAYER
def test_a_layer_may_be_built_while_a_graph_is_made(row, rng):
    """As by the first step of `fit` with a model of one's own, which is built by calling it with symbols."""

    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = row.make()

        def call(self, inputs):
            return first(self.inner(**inputs))

    tensors, outer = arrays(row, rng), Outer()
    symbols = {name: keras.KerasTensor(x.shape, x.dtype.name) for name, x in tensors.items()}
    assert tuple(outer(symbols).shape) == tuple(outer(tensors).shape)
    assert outer.inner.built


@pytest.mark.parametrize("name", [name for name in ROWS if "onvolution" in name or "Location" in name])
def test_images_by_channels_first_change_nothing(name, rng):
    tensors, layer = arrays(ROWS[name], rng), ROWS[name].make()
    expected = numbers(layer(**tensors))
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        again = ROWS[name].make()
        again(**tensors)
        again.set_weights(layer.get_weights())
        received = numbers(again(**tensors))
    finally:
        keras.config.set_image_data_format(before)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_LAYER
def test_saved_models_are_bit_equal_in_a_fresh_process(row, rng, predict_in_fresh_process):
    tensors = arrays(row, rng)
    model = functional(row.make(), tensors, **flags(row))
    received = predict_in_fresh_process(model, tensors)
    for one, other in zip(received, keras.tree.flatten(model(tensors)), strict=True):
        np.testing.assert_array_equal(one, ops.convert_to_numpy(other))


@under("mixed_bfloat16")
@EVERY_LAYER
def test_symbolic_spec_equals_what_comes_out(row, rng, policy):
    tensors = arrays(row, rng)
    symbols = {name: keras.KerasTensor(x.shape, x.dtype.name) for name, x in tensors.items()}
    for extra in ({}, flags(row)) if row.scores else ({},):
        layer = row.make()
        assert signature(layer(**symbols, **extra)) == signature(layer(**tensors, **extra))


# The shapes of a single step Keras finds by running it.
@pytest.mark.parametrize("name", sorted(ROWS.keys() - {"AttentionCell"}))
def test_output_shapes_without_tensors(name, rng):
    layer, tensors = ROWS[name].make(), arrays(ROWS[name], rng)
    tensors = {name: tensors[name] for name in ROWS[name].inputs}
    named = {f"{name}_shape": x.shape for name, x in tensors.items()}
    expected = tuple(layer(**tensors).shape)
    assert layer.compute_output_shape(*named.values()) == layer.compute_output_shape(**named) == expected


def test_a_layer_for_every_place_of_a_longer_sequence(rng):
    inputs = rng.normal(size=(B, 4, T, 6)).astype("float32")
    block = layers.TransformerEncoderBlock(2, 13)
    entry = keras.Input((4, T, 6))
    outputs = keras.Model(entry, keras.layers.TimeDistributed(block)(entry))(inputs)
    np.testing.assert_allclose(outputs[:, 1], block(inputs[:, 1]), rtol=1e-5, atol=1e-6)


@EVERY_LAYER
def test_symbolic_spec_leaves_unknown_lengths_unknown(row, rng):
    tensors = arrays(row, rng)
    model = functional(row.make(), tensors, **flags(row))
    for symbol, tensor in zip(model.outputs, keras.tree.flatten(model(tensors)), strict=True):
        assert all(n in (None, m) for n, m in zip(symbol.shape, tensor.shape, strict=True))
        assert symbol.shape[0] is None


@under("mixed_bfloat16")
@EVERY_LAYER
def test_policies_give_finite_numbers_near_those_of_float32(row, rng, policy):
    layer, tensors = row.make(), arrays(row, rng)
    outputs = keras.tree.flatten(layer(**tensors, **flags(row)))
    dtype = layer.compute_dtype
    assert keras.backend.standardize_dtype(outputs[0].dtype) == dtype
    keras.config.set_dtype_policy("float32")
    exact = row.make()
    exact(**tensors)
    exact.set_weights(layer.get_weights())
    tolerance = {"float32": 1e-6, "bfloat16": 0.15, "float16": 0.02}[dtype]
    for one, other in zip(numbers(outputs), numbers(exact(**tensors, **flags(row))), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)


@EVERY_LAYER
def test_more_padding_changes_nothing(row, rng):
    layer, tensors = row.make(), arrays(row, rng)
    expected = numbers(layer(**tensors, **flags(row)))
    for mask, name in row.masks.items():
        # 100 where nobody may look: what leaks would be seen.
        widths = ((0, 0), (0, PADDING), (0, 0))
        padded = tensors | {
            name: np.pad(tensors[name], widths, constant_values=100.0),
            mask: np.pad(tensors[mask], widths[:2]),
        }
        received = numbers(layer(**padded, **flags(row)))
        for one, other in zip(received, expected, strict=True):
            shorter = one[tuple(slice(n) for n in other.shape)]
            np.testing.assert_allclose(shorter, other, rtol=1e-5, atol=1e-5)


@EVERY_LAYER
def test_what_a_mask_hides_has_no_gradient(row, rng):
    layer, tensors = row.make(), arrays(row, rng)
    layer(**tensors)
    visible = {mask: tensors[mask] for mask in row.masks}
    outputs = {mask for mask, name in row.masks.items() if name == next(iter(row.inputs))}
    keep = ops.convert_to_tensor(next((tensors[m] for m in outputs), np.ones((B, T), bool)))

    def loss(inputs):
        hidden = first(layer(**dict(zip(row.inputs, inputs, strict=True)), **visible))
        return ops.sum(ops.where(keep[:, :, None], ops.square(hidden), 0.0))

    found = gradients(loss, [tensors[name] for name in row.inputs])
    for name, gradient in zip(row.inputs, numbers(found), strict=True):
        assert gradient.any() == (name not in row.ignored)
        for mask in (mask for mask, masked in row.masks.items() if masked == name):
            assert (gradient[~tensors[mask]] == 0).all()


@under("mixed_float16")
@EVERY_LAYER
def test_with_everything_masked_numbers_and_gradients_stay_finite(row, rng, policy):
    layer, tensors = row.make(), arrays(row, rng)
    tensors |= {mask: np.zeros_like(tensors[mask]) for mask in row.masks}
    masks = {mask: tensors[mask] for mask in row.masks}
    for output in numbers(layer(**tensors, **flags(row))):
        assert np.isfinite(output).all()

    def loss(inputs):
        outputs = first(layer(**dict(zip(row.inputs, inputs, strict=True)), **masks))
        return ops.mean(ops.square(ops.cast(outputs, "float32")))

    for gradient in numbers(gradients(loss, [tensors[name] for name in row.inputs])):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", few(ROWS, *SOON_COMPILED))
def test_one_step_of_fit_compiled_and_not(name, rng):
    layer, tensors = ROWS[name].make(), arrays(ROWS[name], rng)
    if not layer.supports_jit:
        pytest.skip("the layer says that XLA cannot compile it")
    model = functional(layer, tensors, first_output_only=True)
    if not model.trainable_weights:
        pytest.skip("the layer learns nothing")
    before = model.get_weights()
    target = rng.normal(size=model(tensors).shape)
    after = []
    for compiled in (False, True):
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=compiled)
        model.fit(tensors, target, batch_size=B, verbose=0)
        after.append(model.get_weights())
    assert any(not np.array_equal(*pair) for pair in zip(before, after[0], strict=True))
    for one, other in zip(*after, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@EVERY_LAYER
@pytest.mark.parametrize("empty", ["batch", "sequences", "memory"])
def test_nothing_in_gives_nothing_or_zeros_out(row, empty, rng):
    """Batches without rows, sequences without positions and memories without keys are inputs, too."""
    layer, tensors = row.make(), arrays(row, rng)
    expected = layer(**tensors, **flags(row))
    owners = {**{name: name for name in row.inputs}, **row.masks}
    memories = [name for name in row.inputs if name in MEMORIES]
    if (empty == "memory" and not memories) or (empty == "sequences" and row is ROWS["AttentionCell"]):
        pytest.skip("the layer has none")
    for name, tensor in tensors.items():
        if empty == "batch":
            tensors[name] = tensor[:0]
        elif empty == "sequences" or owners[name] in memories:
            tensors[name] = tensor[:, :0]
    outputs = keras.tree.flatten(layer(**tensors, **flags(row)))
    for output, before in zip(outputs, keras.tree.flatten(expected), strict=True):
        assert len(output.shape) == len(before.shape)
        if empty == "batch":
            assert tuple(output.shape) == (0, *before.shape[1:])
        assert np.isfinite(numbers(output)).all()
