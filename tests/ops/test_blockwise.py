"""Blockwise attention: equal to the full path in value and gradient, and its memory."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.ops.blockwise import blockwise_attention
from keras_attn.ops.masks import causal_mask
from keras_attn.ops.scores import grouped_dot_logits, grouped_weighted_sum, masked_softmax

from ..few import few

B, HEADS, KEY_HEADS, T, S, E, VALUE_WIDTH = 2, 6, 3, 7, 11, 5, 13
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


def full_attention(query, key, value, key_mask=None, use_causal_mask=False, attention_mask=None, tables=None):
    """The same through the one softmax of all layers, which makes the weights as a whole."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    keep = np.ones((1, num_queries, num_keys), bool) if key_mask is None else key_mask[:, None]
    if use_causal_mask:
        keep = keep & causal_mask(num_queries, num_keys)
    keep = keep[:, None]
    if attention_mask is not None:
        keep = keep & (attention_mask[:, None] if attention_mask.ndim == 3 else attention_mask)
    logits = tf.cast(grouped_dot_logits(query, key), tf.float32)
    place = np.arange(num_keys) - np.arange(num_queries)[:, None] + num_queries - 1  # [T, S]
    tables = {name: tf.gather(table, place) for name, table in (tables or {}).items()}
    if "bias" in tables:
        logits += tf.transpose(tables["bias"], (2, 0, 1))
    if "key_vectors" in tables:
        logits += tf.einsum("bhte,tse->bhts", query, tables["key_vectors"])
    weights = masked_softmax(logits, keep)
    context = grouped_weighted_sum(weights, value)
    if "value_vectors" in tables:
        context += tf.einsum("bhts,tse->bhte", weights, tables["value_vectors"])
    return context


def in_blocks(query, key, value, key_mask, causal, attention_mask, tables, block_size):
    return blockwise_attention(
        query,
        key,
        value,
        key_mask=key_mask,
        use_causal_mask=causal,
        attention_mask=attention_mask,
        tables=tables,
        block_size=block_size,
    )


def value_and_gradients(function, tensors, *arguments):
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        context = function(*tensors, *arguments)
        ramp = tf.reshape(tf.range(tf.size(context), dtype=tf.float32) / 997, tf.shape(context))
        loss = tf.reduce_sum(tf.cast(context, tf.float32) * ramp)
    return [context, *map(tf.convert_to_tensor, tape.gradient(loss, tensors))]


def make_tables(rng, *names):
    """One row for every distance that there is."""
    widths = {"bias": HEADS, "key_vectors": E, "value_vectors": VALUE_WIDTH}
    return {name: tf.constant(rng.normal(size=(T + S - 1, widths[name])), tf.float32) for name in names}


def test_by_hand():
    """Two keys in two blocks, logits 0 and log 3."""
    query, key = np.array([[[[1.0]]]]), np.log([[[[1.0], [3.0]]]])
    context = blockwise_attention(query, key, np.array([[[[4.0], [8.0]]]]), block_size=1)
    np.testing.assert_allclose(context, [[[[7.0]]]], rtol=1e-6)


ALL_TERMS = ("bias", "key_vectors", "value_vectors")
# In blocks that leave a rest: one kind of term and all, causal and not; then each alone in its block, and all
# in one that is larger than T and S.
CASES = [(3, causal, terms) for causal in (False, True) for terms in ((), ("bias",), ALL_TERMS)]
CASES += [(1, True, ("key_vectors",)), (17, True, ALL_TERMS)]


@pytest.mark.parametrize(
    ("block_size", "causal", "terms"),
    few(CASES, (3, False, ALL_TERMS), (3, True, ("bias",)), (17, True, ALL_TERMS)),
)
def test_equals_the_full_path_in_value_and_gradient(heads, key_mask, rng, block_size, causal, terms):
    """With padding in one of two cases, a mask of single places in the other."""
    tensors = [tf.constant(x) for x in heads]
    tables = make_tables(rng, *terms)
    for masks in ((key_mask, causal, None), (None, causal, rng.random((B, T, S)) < 0.6)):

        def run(attention, *options, masks=masks):
            def attend(query, key, value, *rows):
                return attention(query, key, value, *masks, dict(zip(terms, rows, strict=True)), *options)

            return value_and_gradients(attend, [*tensors, *tables.values()])

        expected, received = run(full_attention), run(in_blocks, block_size)
        for one, other in zip(received, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
        if masks[0] is not None:
            assert (received[0][1].numpy() == 0).all()


@pytest.mark.parametrize("shape", [(S,), (T, S), (B, 1, S), (1, HEADS, T, S), (B, 1, 1, S), (B, HEADS, T, 1)])
def test_attention_masks_of_every_shape(heads, rng, shape):
    mask = rng.random(shape) < 0.6
    wide = mask if mask.ndim == 4 else np.broadcast_to(mask, (B, T, S))
    tensors = [tf.constant(x) for x in heads]
    received = value_and_gradients(in_blocks, tensors, None, True, mask, None, 3)
    for one, other in zip(
        received, value_and_gradients(full_attention, tensors, None, True, wide), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_tiles_in_the_future_are_left_out(rng):
    """A tile with NaN in it would spoil all its queries, masked or not."""
    length, block_size = 13, 5
    query, key, value = (rng.normal(size=(1, 1, length, E)).astype("float32") for _ in range(3))
    key[:, :, 2 * block_size :] = value[:, :, 2 * block_size :] = np.nan
    tensors = [tf.constant(x) for x in (query, key, value)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        context = blockwise_attention(*tensors, use_causal_mask=True, block_size=block_size)
        loss = tf.reduce_sum(context[:, :, : 2 * block_size] ** 2)
    assert np.isfinite(context[:, :, : 2 * block_size]).all()
    assert np.isnan(context[:, :, 2 * block_size :]).all()
    d_query, _, _ = tape.gradient(loss, tensors)
    assert np.isfinite(d_query[:, :, : 2 * block_size]).all()


@pytest.mark.parametrize(
    ("shapes", "jit_compile"),
    few(product([(T, S), (S, T)], [False, True]), ((S, T), False)),
)
def test_inside_a_graph(rng, shapes, jit_compile):
    """Also with more queries than keys, whose first ones see nothing when causal."""
    num_queries, num_keys = shapes
    sizes = (HEADS, num_queries, E), (KEY_HEADS, num_keys, E), (KEY_HEADS, num_keys, VALUE_WIDTH)
    tensors = [tf.constant(rng.normal(size=(B, *size)), tf.float32) for size in sizes]
    signature = [tf.TensorSpec([None, size[0], None, size[-1]]) for size in sizes]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def run(*tensors):
        return value_and_gradients(in_blocks, tensors, None, True, None, None, 3)

    expected = value_and_gradients(full_attention, tensors, None, True)
    for one, other in zip(run(*tensors), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
def test_gradients_against_finite_differences(heads, key_mask, rng):
    tables = make_tables(rng, "bias", "key_vectors", "value_vectors")
    mask = rng.random((B, 1, T, S)) < 0.8

    def attend(query, key, value, *rows):
        given = dict(zip(tables, rows, strict=True))
        return blockwise_attention(
            query,
            key,
            value,
            key_mask=key_mask,
            use_causal_mask=True,
            attention_mask=mask,
            tables=given,
            block_size=3,
        )

    tensors = [*(tf.constant(x) for x in heads), *tables.values()]
    _, *gradients = value_and_gradients(attend, tensors)

    def loss(tensors):
        context = attend(*tensors).numpy().astype("float64")
        return float(context.ravel() @ (np.arange(context.size) / 997))

    for index, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape).astype("float32")
        step = 1e-2
        above, below = ([*tensors] for _ in range(2))
        above[index] = tensors[index] + step * direction
        below[index] = tensors[index] - step * direction
        difference = (loss(above) - loss(below)) / (2 * step)
        assert np.any(gradient)
        assert float(np.sum(gradient * direction)) == pytest.approx(difference, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("causal", [False, True])
def test_every_dtype_with_rows_that_see_nothing(heads, key_mask, dtype, causal):
    rtol, atol = FLOATS[dtype]
    tensors = [tf.cast(x, dtype) for x in heads]
    received = value_and_gradients(in_blocks, tensors, key_mask, causal, None, None, 3)
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
    for tensor in value_and_gradients(in_blocks, tensors, key_mask, False, None, None, 3):
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
        return blockwise_attention(query / np.sqrt(E), key, value, key_mask=mask, block_size=3)

    received = value_and_gradients(ours, tensors)
    for one, other in zip(received, (expected.detach(), query.grad, key.grad, value.grad), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_no_tensor_of_the_graph_is_as_large_as_the_weights():
    """Forward and backward, inside the loops as well."""
    length, width, block_size = 1024, 4, 32
    shape = (1, 2, length, width)

    @tf.function
    def run(*tensors):
        context, *gradients = value_and_gradients(in_blocks, tensors, None, True, None, None, block_size)
        return context, gradients

    largest = largest_tensor(run.get_concrete_function(*[tf.TensorSpec(shape)] * 3).graph)
    assert largest == 2 * length * width  # the queries themselves; a tile has 2 x 32 x 32


def largest_tensor(graph):
    """Number of elements of the largest tensor in a graph and in the functions that it calls."""
    operations = list(graph.get_operations())
    for function in graph._functions.values() if hasattr(graph, "_functions") else ():
        operations += function.graph.get_operations()
    return max(tensor.shape.num_elements() or 0 for op in operations for tensor in op.outputs)
