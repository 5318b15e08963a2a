"""Inputs of another batch size are refused, eagerly and in graphs that learn the size when they run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn import layers

B, T, S, D = 4, 6, 5, 3
LAYERS = {
    "AttentionRNN": (
        lambda: layers.AttentionRNN(keras.layers.GRUCell(5), layers.BahdanauAttention(4)),
        {"sequences": (B, T, D), "memory": (B, S, D), "initial_state": (B, 5)},
    ),
    "AttentionCell": (
        lambda: layers.AttentionCell(keras.layers.GRUCell(5), layers.BahdanauAttention(4)),
        {"inputs": (B, 1, D), "memory": (B, S, D)},
    ),
    "BahdanauAttention": (lambda: layers.BahdanauAttention(4), {"query": (B, T, D), "value": (B, S, D)}),
    "CoverageAttention": (lambda: layers.CoverageAttention(4), {"query": (B, T, D), "value": (B, S, D)}),
    "LuongAttention": (lambda: layers.LuongAttention(), {"query": (B, T, D), "value": (B, S, D)}),
    "MultiHeadAttention": (
        lambda: layers.MultiHeadAttention(2, 4),
        {"query": (B, T, D), "value": (B, S, D), "key": (B, S, D)},
    ),
    "TransformerDecoderBlock": (
        lambda: layers.TransformerDecoderBlock(1, 7),
        {"inputs": (B, T, D), "memory": (B, S, D)},
    ),
}
CASES = [(layer, name) for layer, (_, shapes) in LAYERS.items() for name in list(shapes)[1:]]


@pytest.mark.parametrize(("layer", "argument"), CASES)
@pytest.mark.parametrize("rows", [1, B - 1])
def test_another_batch_size_is_refused_by_the_name_of_the_argument(layer, argument, rows):
    layer, given = built(layer)
    given[argument] = given[argument][:rows]
    with pytest.raises(ValueError, match=f"{message(layer, argument)} Expected 4. Received: {rows}"):
        layer(**_listed(given))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX knows all sizes")
@pytest.mark.parametrize(("layer", "argument"), CASES)
def test_a_graph_that_learns_the_size_when_it_runs_refuses_it_too(layer, argument):
    layer, given = built(layer)
    specs = [tf.TensorSpec([None, *x.shape[1:]]) for x in given.values()]

    @tf.function(input_signature=specs)
    def graph(*tensors):
        return keras.tree.flatten(layer(**_listed(dict(zip(given, tensors, strict=True)))))

    expected = [x.shape for x in keras.tree.flatten(layer(**_listed(given)))]
    assert [x.shape for x in graph(*given.values())] == expected
    with pytest.raises(tf.errors.InvalidArgumentError, match=message(layer, argument)):
        graph(*(x[:1] if name == argument else x for name, x in given.items()))


def built(name):
    make, shapes = LAYERS[name]
    layer, given = make(), {name: np.ones(shape, "float32") for name, shape in shapes.items()}
    layer(**_listed(given))
    return layer, given


def message(layer, argument):
    named = "value" if isinstance(layer, layers.TransformerDecoderBlock) else argument
    return f"`{named}` has another batch size than `.*`."


def _listed(given):
    """`initial_state` is a list of tensors."""
    return {name: [x] if name == "initial_state" else x for name, x in given.items()}
