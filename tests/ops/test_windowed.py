"""Windowed attention: equal to the full path under a mask of the window, in memory of T x window."""

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

from ..few import few

B, HEADS, KEY_WIDTH, DIM = 2, 3, 4, 5
SCHEMES = {
    "none": lambda: None,
    "shaw": lambda: ShawPositions(2),
    "t5": lambda: T5Positions(8, 5),
    "alibi": ALiBiPositions,
    "rotary": RotaryPositions,
}


def pair(scheme, window, shapes):
    """A windowed layer, and a full one with the same weights."""
    windowed = MultiHeadAttention(
        HEADS, KEY_WIDTH, relative_positions=SCHEMES[scheme](), implementation="windowed", window=window
    )
    full = MultiHeadAttention(HEADS, KEY_WIDTH, relative_positions=SCHEMES[scheme]())
    for layer in (windowed, full):
        layer.build(*shapes)
    full.set_weights(windowed.get_weights())
    return windowed, full


def within(window, num_queries, num_keys):
    """Which keys are near enough, both sequences aligned to the end."""
    query_positions = np.arange(num_queries)[:, None] + num_keys - num_queries
    return np.abs(np.arange(num_keys) - query_positions) <= window


# Every window with every pair of sizes, causal or not in turn.
IN_TURN = [
    (window, sizes, (row + column) % 2 == 1)
    for row, window in enumerate([1, 3, 13, 29])
    for column, sizes in enumerate([(13, 13), (5, 17), (17, 5), (1, 7)])
]


@pytest.mark.parametrize(
    ("window", "sizes", "causal"),
    few([*IN_TURN, *((window, sizes, not causal) for window, sizes, causal in IN_TURN)], *IN_TURN),
)
def test_equals_the_full_path_under_a_mask_of_the_window(rng, window, sizes, causal):
    num_queries, num_keys = sizes
    query, value = (rng.normal(size=(B, size, DIM)).astype("float32") for size in sizes)
    windowed, full = pair("none", window, (query.shape, value.shape))
    masks = {"query_mask": rng.random((B, num_queries)) < 0.8, "value_mask": rng.random((B, num_keys)) < 0.7}
    near = within(window, num_queries, num_keys)
    received, expected = [], []
    for layer, gathered, extra in ((windowed, received, {}), (full, expected, {"attention_mask": near})):
        tensors = [tf.constant(x) for x in (query, value)]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = layer(*tensors, **masks, **extra, use_causal_mask=causal)
            loss = tf.reduce_sum(output**2)
        gathered += [output, *tape.gradient(loss, tensors)]
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("causal", few([False, True], True))
def test_with_relative_positions_and_sizes_known_only_at_run_time(rng, scheme, causal):
    query, value = (rng.normal(size=(B, size, DIM)).astype("float32") for size in (11, 13))
    windowed, full = pair(scheme, 3, (query.shape, value.shape))

    @tf.function(input_signature=[tf.TensorSpec([None, None, DIM])] * 2)
    def run(query, value):
        return windowed(query, value, use_causal_mask=causal)

    expected = full(query, value, attention_mask=within(3, 11, 13), use_causal_mask=causal)
    np.testing.assert_allclose(run(query, value), expected, rtol=1e-4, atol=1e-5)


def test_by_hand():
    """All logits equal: every output is the mean of its neighbours."""
    layer = MultiHeadAttention(1, 1, use_bias=False, implementation="windowed", window=1)
    layer.build((1, 4, 1), (1, 4, 1))
    layer.set_weights([np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1))])
    value = np.array([[[1.0], [3.0], [8.0], [10.0]]])
    np.testing.assert_allclose(layer(value, value)[0, :, 0], [2, 4, 7, 9], rtol=1e-6)
    np.testing.assert_allclose(layer(value, value, use_causal_mask=True)[0, :, 0], [1, 2, 5.5, 9], rtol=1e-6)


@pytest.mark.parametrize("length", few([1024, 2048], 1024))
def test_the_largest_tensor_has_as_many_numbers_as_queries_times_window(length):
    """Forward and backward."""
    window = 16
    layer = MultiHeadAttention(2, 4, implementation="windowed", window=window)
    layer.build((1, length, 8), (1, length, 8))

    @tf.function
    def run(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(inputs, inputs) ** 2)
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    graph = run.get_concrete_function(tf.TensorSpec((1, length, 8))).graph
    largest = max(x.shape.num_elements() or 0 for op in graph.get_operations() for x in op.outputs)
    assert largest == 2 * length * 3 * window  # heads x queries x the keys of three chunks
