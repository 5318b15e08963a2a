"""MultiHeadAttention beside Keras' own layers and PyTorch's, with copied weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import ALiBiPositions, MultiHeadAttention, T5Positions

B, T, S, Q_DIM, V_DIM, K_DIM = 2, 3, 5, 7, 11, 13
HEADS, KEY_HEADS, KEY_WIDTH, VALUE_WIDTH, OUTPUT_DIM = 6, 2, 4, 17, 19


def make(**options):
    """Sizes that all differ, and biases that are not 0."""
    sizes = {"value_dim": VALUE_WIDTH, "num_key_value_heads": KEY_HEADS, "output_shape": OUTPUT_DIM}
    options = {**sizes, "bias_initializer": "random_normal", **options}
    return MultiHeadAttention(HEADS, KEY_WIDTH, **options)


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def copy_to_keras(ours, theirs):
    """Keras keeps kernels as `[D, H, E]`, and the output's as `[H, E, D]`."""
    weights = iter(ours.get_weights())
    theirs.set_weights([next(weights).reshape(weight.shape) for weight in theirs.weights])


@pytest.mark.parametrize("causal", [False, True])
def test_equals_keras_own(inputs, rng, causal):
    """With every row seeing something; T = S, for theirs aligns the causal mask to the start."""
    ours = make(num_key_value_heads=None)
    theirs = keras.layers.MultiHeadAttention(HEADS, KEY_WIDTH, VALUE_WIDTH, output_shape=OUTPUT_DIM)
    query = rng.normal(size=(B, S, Q_DIM)).astype("float32")
    value_mask = rng.random((B, S)) < 0.8
    value_mask[:, 0] = True
    arguments = (query, inputs["value"], inputs["key"])
    for layer in (ours, theirs):
        layer.build(*(x.shape for x in arguments))
    copy_to_keras(ours, theirs)
    flags = {"value_mask": value_mask, "use_causal_mask": causal, "return_attention_scores": True}
    expected = theirs(*arguments, **flags)
    for one, other in zip(ours(*arguments, **flags), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_equals_keras_grouped_query_attention(inputs, rng):
    ours = make(value_dim=KEY_WIDTH, output_shape=None)
    theirs = keras.layers.GroupQueryAttention(KEY_WIDTH, HEADS, KEY_HEADS)
    attention_mask = rng.random((B, T, S)) < 0.7
    attention_mask[..., 0] = True
    value = inputs["value"]
    for layer in (ours, theirs):
        layer.build(inputs["query"].shape, value.shape, value.shape)
    copy_to_keras(ours, theirs)
    flags = {"attention_mask": attention_mask, "return_attention_scores": True}
    expected = theirs(inputs["query"], value, **flags)
    for one, other in zip(ours(inputs["query"], value, **flags), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch checks the numbers where it is installed")


def projections_of(layer):
    """Kernels and biases of query, key, value and output, in this order."""
    layers = [getattr(layer, f"{name}_projection") for name in ("query", "key", "value", "output")]
    return [weight for layer in layers for weight in layer.weights]


def ours_with_gradients(layer, arrays, **flags):
    """Output and weights, then the gradients of the inputs and of the projections."""
    variables = {name: tf.Variable(x) for name, x in arrays.items()}
    with tf.GradientTape() as tape:
        output, weights = layer(**variables, **flags, return_attention_scores=True)
        loss = tf.reduce_sum(output**2)
    own = [weight.value for weight in projections_of(layer)]
    gradients = tape.gradient(loss, [*variables.values(), *own])
    return [output, weights], [tf.convert_to_tensor(gradient) for gradient in gradients]


def assert_close(ours, theirs, rtol=1e-3, atol=1e-4):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other.detach(), rtol=rtol, atol=atol)


def test_equals_torch_multihead_attention(torch, rng):
    width, heads = 6, 3
    theirs = torch.nn.MultiheadAttention(width, heads, kdim=K_DIM, vdim=V_DIM, batch_first=True)
    ours = MultiHeadAttention(heads, width // heads, bias_initializer="random_normal")
    shapes = {"query": (B, T, width), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    keep = np.array([[True, True, False, True, False], [False, True, True, True, True]])
    ours.build(*shapes.values())
    copied = [torch.tensor(weight) for weight in ours.get_weights()]
    kernels = (theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight, theirs.out_proj.weight)
    with torch.no_grad():
        for kernel, weight in zip(kernels, copied[::2], strict=True):
            kernel.copy_(weight.T)
        theirs.in_proj_bias.copy_(torch.cat(copied[1:6:2]))
        theirs.out_proj.bias.copy_(copied[7])
    tensors = {name: torch.tensor(x, requires_grad=True) for name, x in arrays.items()}
    arguments = (tensors["query"], tensors["key"], tensors["value"])
    expected = theirs(*arguments, key_padding_mask=torch.tensor(~keep), average_attn_weights=False)
    (expected[0] ** 2).sum().backward()
    received, gradients = ours_with_gradients(ours, arrays, value_mask=keep)
    assert_close(received, expected)
    assert_close(gradients[:3], [tensor.grad for tensor in tensors.values()])
    assert_close(gradients[3::2], [kernel.grad.T for kernel in kernels])


def torch_output(torch, weights, tensors, bias):
    """The layer once more around `scaled_dot_product_attention`; `bias` is -inf where nothing is kept."""
    rows, heads = iter(weights), (HEADS, KEY_HEADS, KEY_HEADS)

    def project(tensor, num_heads):
        return (tensor @ next(rows) + next(rows)).unflatten(-1, (num_heads, -1)).transpose(1, 2)

    query, key, value = map(project, (tensors["query"], tensors["key"], tensors["value"]), heads)
    context = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, enable_gqa=True
    )
    return context.transpose(1, 2).flatten(-2) @ next(rows) + next(rows)


@pytest.mark.parametrize("scheme", [None, ALiBiPositions, T5Positions])
@pytest.mark.parametrize("causal", [False, True])
def test_equals_torch_scaled_dot_product_attention(torch, rng, scheme, causal):
    """Grouped heads, masks and a bias of relative positions; theirs gets both as numbers to add."""
    layer = MultiHeadAttention(
        HEADS,
        KEY_WIDTH,
        VALUE_WIDTH,
        num_key_value_heads=KEY_HEADS,
        output_shape=OUTPUT_DIM,
        bias_initializer="random_normal",
        relative_positions=None if scheme is None else scheme(),
    )
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    layer.build(*shapes.values())
    keep = rng.random((B, 1, T, S)) < 0.7
    keep[..., 0] = True
    bias = 0.0
    if scheme is not None:
        bias = np.asarray(layer.relative_positions.logits(None, np.arange(2, 5), np.arange(5)))
    seen = keep & np.tri(T, S, S - T, dtype=bool) if causal else keep
    bias = torch.tensor(np.where(seen, np.float32(bias), -np.inf))
    weights = [torch.tensor(weight.numpy(), requires_grad=True) for weight in projections_of(layer)]
    tensors = {name: torch.tensor(x, requires_grad=True) for name, x in arrays.items()}
    expected = torch_output(torch, weights, tensors, bias)
    (expected**2).sum().backward()
    received, gradients = ours_with_gradients(layer, arrays, attention_mask=keep, use_causal_mask=causal)
    assert_close(received[:1], [expected])
    assert_close(gradients, [tensor.grad for tensor in (*tensors.values(), *weights)])
