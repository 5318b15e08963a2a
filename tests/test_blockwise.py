"""Blockwise attention: equal to the full path in value and gradient, and its memory."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.blockwise import blockwise_attention
from keras_attn.masks import causal_mask
from keras_attn.relative_positions import ALiBiPositions
from keras_attn.scores import grouped_dot_logits, grouped_weighted_sum, masked_softmax

B, HEADS, KEY_HEADS, T, S, E, VALUE_WIDTH = 2, 6, 3, 7, 11, 5, 13
# Alone in their block, in blocks that leave a rest, in one block that is larger than S.
BLOCK_SIZES = [1, 3, 11, 17]
FLOATS = {"float32": (1e-4, 1e-5), "bfloat16": (0.05, 0.1), "float16": (0.01, 0.02)}


@pytest.fixture
def heads(rng):
    shapes = (B, HEADS, T, E), (B, KEY_HEADS, S, E), (B, KEY_HEADS, S, VALUE_WIDTH)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.fixture
def key_mask(rng):
    mask = rng.random((B, S)) < 0.6
    mask[1] = False
    return mask


def full_attention(query, key, value, key_mask=None, use_causal_mask=False, bias=None):
    """The same through the one softmax of all layers, which makes the weights as a whole."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    keep = np.ones((1, num_queries, num_keys), bool) if key_mask is None else key_mask[:, None]
    if use_causal_mask:
        keep = keep & causal_mask(num_queries, num_keys)
    logits = tf.cast(grouped_dot_logits(query, key), tf.float32)
    if bias is not None:
        logits += bias(tf.range(num_queries) + num_keys - num_queries, tf.range(num_keys))
    return grouped_weighted_sum(masked_softmax(logits, keep[:, None]), value)


def value_and_gradients(function, tensors, *arguments):
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        context = function(*tensors, *arguments)
        ramp = tf.reshape(tf.range(tf.size(context), dtype=tf.float32) / 997, tf.shape(context))
        loss = tf.reduce_sum(tf.cast(context, tf.float32) * ramp)
    return [context, *tape.gradient(loss, tensors)]


def alibi():
    scheme = ALiBiPositions()
    scheme.build((B, HEADS, T, E), (B, KEY_HEADS, S, VALUE_WIDTH))
    return partial(scheme.logits, None)


def test_by_hand():
    """Two keys in two blocks, logits 0 and log 3."""
    query, key = np.array([[[[1.0]]]]), np.log([[[[1.0], [3.0]]]])
    context = blockwise_attention(query, key, np.array([[[[4.0], [8.0]]]]), block_size=1)
    np.testing.assert_allclose(context, [[[[7.0]]]], rtol=1e-6)


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_equals_the_full_path_in_value_and_gradient(heads, key_mask, block_size, causal, masked, biased):
    tensors = [tf.constant(x) for x in heads]
    arguments = (key_mask if masked else None, causal, alibi() if biased else None)
    expected = value_and_gradients(full_attention, tensors, *arguments)
    received = value_and_gradients(blockwise_attention, tensors, *arguments, block_size)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    if masked:
        assert (received[0][1].numpy() == 0).all()


@pytest.mark.parametrize("shapes", [(T, S), (S, T)])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_inside_a_graph(rng, shapes, jit_compile):
    """Also with more queries than keys, whose first ones see nothing when causal."""
    num_queries, num_keys = shapes
    sizes = (HEADS, num_queries, E), (KEY_HEADS, num_keys, E), (KEY_HEADS, num_keys, VALUE_WIDTH)
    tensors = [tf.constant(rng.normal(size=(B, *size)), tf.float32) for size in sizes]
    signature = [tf.TensorSpec([None, size[0], None, size[-1]]) for size in sizes]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def run(*tensors):
        return value_and_gradients(blockwise_attention, tensors, None, True, None, 3)

    expected = value_and_gradients(full_attention, tensors, None, True)
    for one, other in zip(run(*tensors), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_against_finite_differences(heads, key_mask, rng):
    tensors = [tf.constant(x) for x in heads]
    arguments = (key_mask, True, alibi(), 3)
    _, *gradients = value_and_gradients(blockwise_attention, tensors, *arguments)

    def loss(tensors):
        context = blockwise_attention(*tensors, *arguments).numpy().astype("float64")
        return float(context.ravel() @ (np.arange(context.size) / 997))

    for index, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape).astype("float32")
        step = 1e-2
        above, below = ([*tensors] for _ in range(2))
        above[index] = tensors[index] + step * direction
        below[index] = tensors[index] - step * direction
        difference = (loss(above) - loss(below)) / (2 * step)
        assert float(np.sum(gradient * direction)) == pytest.approx(difference, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("causal", [False, True])
def test_every_dtype_with_rows_that_see_nothing(heads, key_mask, dtype, causal):
    rtol, atol = FLOATS[dtype]
    tensors = [tf.cast(x, dtype) for x in heads]
    received = value_and_gradients(blockwise_attention, tensors, key_mask, causal, None, 3)
    assert [x.dtype.name for x in received] == [dtype] * 4
    expected = value_and_gradients(
        full_attention, [tf.cast(x, tf.float32) for x in tensors], key_mask, causal
    )
    for one, other in zip(received, expected, strict=True):
        one = tf.cast(one, tf.float32).numpy()
        assert np.isfinite(one).all()
        assert (one[1] == 0).all()  # nothing kept: no context, no gradient
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("size", [1e4, 1e15, -1e15])
def test_huge_logits_stay_finite(heads, key_mask, size):
    tensors = [tf.constant(heads[0] * size), *map(tf.constant, heads[1:])]
    for tensor in value_and_gradients(blockwise_attention, tensors, key_mask, False, None, 3):
        assert np.isfinite(tensor).all()


def test_equals_torch_scaled_dot_product_attention(heads, rng):
    torch = pytest.importorskip("torch", reason="PyTorch checks the numbers where it is installed")
    mask = rng.random((B, S)) < 0.6
    mask[:, 4] = True
    query, key, value = (torch.tensor(x, requires_grad=True) for x in heads)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=torch.tensor(mask)[:, None, None], enable_gqa=True
    )
    ramp = np.arange(expected.numel(), dtype="float32").reshape(expected.shape) / 997
    (expected * torch.tensor(ramp)).sum().backward()
    tensors = [tf.constant(x) for x in heads]

    def ours(query, key, value):
        return blockwise_attention(query / np.sqrt(E), key, value, mask, block_size=3)

    received = value_and_gradients(ours, tensors)
    for one, other in zip(received, (expected.detach(), query.grad, key.grad, value.grad), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_no_tensor_of_the_graph_is_as_large_as_the_weights():
    """Forward and backward, inside the loops as well."""
    length, width, block_size = 1024, 4, 32
    shape = (1, 2, length, width)

    @tf.function
    def run(*tensors):
        context, *gradients = value_and_gradients(blockwise_attention, tensors, None, True, None, block_size)
        return context, gradients

    largest = largest_tensor(run.get_concrete_function(*[tf.TensorSpec(shape)] * 3).graph)
    assert largest == 2 * length * block_size  # heads x queries x one block


def largest_tensor(graph):
    """Number of elements of the largest tensor in a graph and in the functions that it calls."""
    operations = list(graph.get_operations())
    for function in graph._functions.values() if hasattr(graph, "_functions") else ():
        operations += function.graph.get_operations()
    return max(tensor.shape.num_elements() or 0 for op in operations for tensor in op.outputs)
