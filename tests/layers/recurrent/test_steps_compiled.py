"""What runs step by step, compiled by XLA and not: the same outputs and gradients, on TensorFlow and JAX."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import (
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

B, T, S, D, M, UNITS = 2, 3, 5, 7, 11, 13
# What is added up on the way to a gradient: in each of T steps all places of both, through all units.
TERMS = T * (B * T * S + D + M + UNITS)
FED = {"order": "luong", "input_feeding": True, "attention_units": 17}
LAYERS = {
    "bahdanau": lambda: BahdanauAttention(UNITS, normalize=True),
    "concat": lambda: LuongAttention("concat", units=UNITS),
    "coverage": lambda: CoverageAttention(UNITS, fertility=2.0),
    "location": lambda: LocationSensitiveAttention(UNITS, 3, 5, smooth=True),
    "local_p": lambda: LuongLocalAttention(2),
    "local_m": lambda: LuongLocalAttention(2, alignment="monotonic"),
    "parallel": lambda: MonotonicAttention(LuongAttention("general")),
    "recursive": lambda: MonotonicAttention(BahdanauAttention(UNITS), "recursive"),
    "hard": lambda: MonotonicAttention(BahdanauAttention(UNITS), "hard"),
    "rnn": lambda: AttentionRNN(keras.layers.GRUCell(19), BahdanauAttention(UNITS)),
    "rnn_coverage": lambda: AttentionRNN(keras.layers.LSTMCell(19), CoverageAttention(UNITS), **FED),
    "rnn_recursive": lambda: AttentionRNN(
        keras.layers.GRUCell(19), MonotonicAttention(LuongAttention("general"), "recursive"), **FED
    ),
}


@pytest.fixture(params=few(LAYERS, "local_p", "parallel", "rnn"))
def layer(request, rng):
    made = LAYERS[request.param]()
    made.build((B, T, D), (B, S, M))
    for weight in made.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return made


@pytest.fixture
def inputs(rng):
    return [rng.normal(size=shape).astype("float32") for shape in ((B, T, D), (B, S, M))]


def mask_of(layer):
    name = "memory_mask" if isinstance(layer, AttentionRNN) else "value_mask"
    return {name: np.arange(S) < [[3], [S]]}


def compiled_or_not(layer, jit_compile, sizes_known):
    """A function of both inputs: outputs, then gradients of both inputs and all weights."""
    if keras.backend.backend() == "jax":
        import jax

        weights = [weight.value for weight in layer.trainable_variables]
        rest = [weight.value for weight in layer.non_trainable_variables]

        def loss(weights, query, memory):
            outputs, _ = layer.stateless_call(weights, rest, query, memory, **mask_of(layer))
            return ops.sum(ops.square(outputs)), outputs

        def both(query, memory):
            gradients, outputs = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(weights, query, memory)
            return [outputs, *keras.tree.flatten(gradients)]

        return jax.jit(both) if jit_compile else both
    import tensorflow as tf

    def both(query, memory):
        variables = [query, memory, *(weight.value for weight in layer.trainable_weights)]
        with tf.GradientTape() as tape:
            tape.watch([query, memory])
            outputs = layer(query, memory, **mask_of(layer))
            loss = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(loss, variables, unconnected_gradients="zero")]

    unknown = [tf.TensorSpec([None, None, width]) for width in (D, M)]
    return tf.function(both, jit_compile=jit_compile, input_signature=None if sizes_known else unknown)


@pytest.mark.parametrize("sizes", few(["known", "unknown"], "unknown"))
def test_compiled_equals_not_compiled(layer, inputs, sizes):
    sizes_known = sizes == "known"
    if not sizes_known and keras.backend.backend() == "jax":
        pytest.skip("JAX always knows its sizes")
    assert layer.supports_jit
    tensors = [ops.convert_to_tensor(x) for x in inputs]
    plain, compiled = (compiled_or_not(layer, jit, sizes_known)(*tensors) for jit in (False, True))
    assert len(plain) == len(compiled) > 3
    # The gradients of one pass are sums of the same terms: what cancels in one is as large as the largest.
    size = max(np.abs(ops.convert_to_numpy(x)).max() for x in plain)
    for one, other in zip(compiled, plain, strict=True):
        assert_close(one, other, TERMS, size)
