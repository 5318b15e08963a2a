"""TransformerEncoderBlock: against NumPy and PyTorch, masks, places of dropout, settings handed on."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import RotaryPositions, ShawPositions, TransformerEncoderBlock

from ...few import few

B, T, H, D, HIDDEN = 3, 5, 2, 14, 11
NORMS = pytest.mark.parametrize("norm_first", [False, True], ids=["post_norm", "pre_norm"])


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def mask():
    return np.arange(T) < np.array([[T], [3], [1]])


def make(rng, **settings):
    """A block whose weights are all random, biases and norms too."""
    block = TransformerEncoderBlock(H, HIDDEN, **settings)
    block.build((None, None, D))
    for weight in block.trainable_weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return block


def normalized(x, norm):
    gamma, beta = norm.get_weights()
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.epsilon) * gamma + beta


def oracle(block, x, keep):
    """The formula of the class's docstring, with the sublayers taken as they are."""

    def attention(n):
        return ops.convert_to_numpy(block.self_attention.sublayer(n, n, attention_mask=keep[:, None, :]))

    def feed_forward(n):
        return ops.convert_to_numpy(block.feed_forward.sublayer(n))

    norms = [block.self_attention.normalization, block.feed_forward.normalization]
    if block.norm_first:
        x = x + attention(normalized(x, norms[0]))
        return x + feed_forward(normalized(x, norms[1]))
    x = normalized(x + attention(x), norms[0])
    return normalized(x + feed_forward(x), norms[1])


def torch_twin(torch, torch_copies, block):
    """`torch.nn.TransformerEncoderLayer` with the weights of the block."""
    twin = torch.nn.TransformerEncoderLayer(
        D, H, HIDDEN, dropout=0.0, batch_first=True, norm_first=block.norm_first, activation="relu"
    )
    torch_copies.attention(twin.self_attn, block.self_attention.sublayer)
    feed_forward = block.feed_forward.sublayer
    torch_copies.weights(twin.linear1, feed_forward.hidden)
    torch_copies.weights(twin.linear2, feed_forward.output_projection)
    torch_copies.weights(twin.norm1, block.self_attention.normalization)
    torch_copies.weights(twin.norm2, block.feed_forward.normalization)
    return twin.eval()


@NORMS
def test_against_numpy(inputs, mask, rng, norm_first):
    block = make(rng, norm_first=norm_first)
    outputs = ops.convert_to_numpy(block(inputs, inputs_mask=mask))
    np.testing.assert_allclose(outputs[mask], oracle(block, inputs, mask)[mask], rtol=1e-4, atol=1e-5)


@NORMS
@pytest.mark.parametrize("causal", [False, True])
def test_against_torch(inputs, mask, rng, torch_copies, norm_first, causal):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    block = make(rng, norm_first=norm_first)
    twin = torch_twin(torch, torch_copies, block)
    outputs = ops.convert_to_numpy(block(inputs, inputs_mask=mask, use_causal_mask=causal))
    hidden = torch.from_numpy(~np.tri(T, dtype=bool)) if causal else None
    with torch.no_grad():
        padding = torch.from_numpy(~mask)
        expected = twin(torch.from_numpy(inputs), src_mask=hidden, src_key_padding_mask=padding).numpy()
    np.testing.assert_allclose(outputs[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_the_attention_and_change_nothing_else(inputs, mask, rng):
    block = make(rng)
    outputs, weights = block(inputs, inputs_mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(block(inputs, inputs_mask=mask), outputs, rtol=1e-6)
    expected = block.self_attention.sublayer(
        inputs, inputs, query_mask=mask, value_mask=mask, return_attention_scores=True
    )
    np.testing.assert_allclose(weights, expected[1], rtol=1e-6)
    assert weights.shape == (B, H, T, T)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(weights) != 0,
        np.broadcast_to((mask[:, :, None] & mask[:, None, :])[:, None], weights.shape),
    )


@NORMS
@pytest.mark.parametrize("symbolic", [False, True])
def test_an_implicit_mask_equals_an_explicit_one(rng, norm_first, symbolic):
    ids = np.array([[3, 1, 0, 0], [2, 5, 4, 6]])
    embedding, block = keras.layers.Embedding(7, D, mask_zero=True), make(rng, norm_first=norm_first)
    expected = block(ops.copy(embedding(ids)), inputs_mask=ids != 0)
    if symbolic:
        entry = keras.Input((None,), dtype="int32")
        symbol = block(embedding(entry))
        assert symbol._keras_mask is not None
        outputs = keras.Model(entry, symbol)(ids)
    else:
        outputs = block(embedding(ids))
        np.testing.assert_array_equal(outputs._keras_mask, ids != 0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(block(ops.copy(embedding(ids)))[0, :2], expected[0, :2], rtol=1e-3)


@NORMS
def test_causal_outputs_do_not_see_later_inputs(inputs, rng, norm_first):
    block = make(rng, norm_first=norm_first)
    changed = inputs.copy()
    changed[:, 3:] = 100
    before, after = (ops.convert_to_numpy(block(x, use_causal_mask=True)) for x in (inputs, changed))
    np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-4, atol=1e-5)


def test_rates_go_to_their_places():
    block = TransformerEncoderBlock(H, HIDDEN, dropout=0.1, attention_dropout=0.2, activation_dropout=0.3)
    block.build((None, None, D))
    assert block.self_attention.output_dropout.rate == 0.1
    assert block.feed_forward.output_dropout.rate == 0.1
    assert block.self_attention.sublayer.dropout == 0.2
    assert block.feed_forward.sublayer.hidden_dropout.rate == 0.3


@pytest.mark.parametrize("place", ["dropout", "attention_dropout", "activation_dropout"])
def test_each_rate_is_at_work_in_training_alone(inputs, rng, place):
    block = make(rng, **{place: 0.5})
    once, again, trained = block(inputs), block(inputs, training=False), block(inputs, training=True)
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, trained)


def test_settings_reach_the_attention(inputs):
    settings = {"num_key_value_heads": 1, "relative_positions": RotaryPositions(), "key_dim": 4}
    block = TransformerEncoderBlock(H, HIDDEN, **settings, activation="gelu", epsilon=1e-3)
    block(inputs)
    attention = block.self_attention.sublayer
    assert (attention.num_key_value_heads, attention.key_dim) == (1, 4)
    assert isinstance(attention.relative_positions, RotaryPositions)
    assert block.self_attention.normalization.epsilon == 1e-3
    assert block.feed_forward.sublayer.activation is keras.activations.gelu
    again = TransformerEncoderBlock.from_config(block.get_config())
    again(inputs)
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(again(inputs), block(inputs))


def test_blockwise_attention_gives_the_same(inputs, mask, rng):
    full, blockwise = make(rng), make(rng, implementation="blockwise")
    blockwise.set_weights(full.get_weights())
    for causal in (False, True):
        expected = full(inputs, inputs_mask=mask, use_causal_mask=causal)
        received = blockwise(inputs, inputs_mask=mask, use_causal_mask=causal)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_a_width_that_the_heads_cannot_share():
    with pytest.raises(
        ValueError, match=r"Expected a multiple of num_heads=3. Received: width 14. .*`key_dim`"
    ):
        TransformerEncoderBlock(3, HIDDEN).build((None, None, D))
    TransformerEncoderBlock(3, HIDDEN, key_dim=5).build((None, None, D))


@pytest.mark.parametrize("size", [0, -3, 2.0, "7"])
@pytest.mark.parametrize("name", ["num_heads", "hidden_dim", "key_dim"])
def test_wrong_sizes(name, size):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{name}={size!r}"):
        TransformerEncoderBlock(**{"num_heads": H, "hidden_dim": HIDDEN, name: size})


STEPS = {
    "post_norm": {},
    "pre_norm": {"norm_first": True},
    "grouped_rotary": {"num_key_value_heads": 1, "relative_positions": RotaryPositions, "key_dim": 4},
    "shaw": {"relative_positions": lambda: ShawPositions(2)},
    "windowed": {"implementation": "windowed", "window": 2},
    "blockwise": {"implementation": "blockwise"},
}


@pytest.mark.parametrize(
    ("kind", "prompt"), few(product(STEPS, [0, 3]), *product(STEPS, [3]), ("post_norm", 0), ("shaw", 0))
)
def test_a_prompt_and_steps_equal_the_whole(inputs, rng, kind, prompt):
    """The first place of the second row is padding."""
    settings = dict(STEPS[kind])
    if "relative_positions" in settings:  # a scheme keeps its weights, so each test has its own
        settings["relative_positions"] = settings["relative_positions"]()
    block = make(rng, **settings)
    mask = np.ones((B, T), bool)
    mask[1, 0] = prompt == 0
    whole = block(inputs, inputs_mask=mask, use_causal_mask=True)
    if prompt:
        outputs, cache = block.prefill(inputs[:, :prompt], mask[:, :prompt])
        np.testing.assert_allclose(outputs, whole[:, :prompt], rtol=1e-4, atol=1e-5)
    else:
        cache = block.empty_cache(B)
    for t in range(prompt, T):
        position = ops.convert_to_tensor(t, dtype="int32")
        keep = mask[:, None, : t + 1]
        step, cache, weights = block.step(inputs[:, t : t + 1], position, cache, keep)
        np.testing.assert_allclose(step[:, 0], whole[:, t], rtol=1e-4, atol=1e-5)
        assert weights.shape == (B, H, 1, t + 1)
        assert {x.shape[3] for x in keras.tree.flatten(cache)} == {t + 1}


def test_hypotheses_of_a_row_go_on_from_one_prompt(inputs, rng):
    block = make(rng, norm_first=True)
    _, cache = block.prefill(inputs)
    tokens = rng.normal(size=(B, 3, D)).astype("float32")
    tripled = keras.tree.map_structure(lambda leaf: ops.repeat(leaf, 3, axis=1), cache)
    together, _, _ = block.step(tokens, T, tripled)
    for k in range(3):
        alone, _, _ = block.step(tokens[:, k : k + 1], T, cache)
        np.testing.assert_allclose(together[:, k : k + 1], alone, rtol=1e-4, atol=1e-5)


def test_half_precision_steps_have_the_dtype_of_the_whole(inputs):
    block = TransformerEncoderBlock(H, HIDDEN, dtype="mixed_bfloat16")
    whole = block(inputs, use_causal_mask=True)
    outputs, cache = block.prefill(inputs[:, :3])
    step, after, _ = block.step(inputs[:, 3:4], 3, cache)
    assert {x.dtype for x in keras.tree.flatten([outputs, cache, step, after])} == {whole.dtype}
    np.testing.assert_allclose(*(ops.cast(x, "float32") for x in (step[:, 0], whole[:, 3])), atol=0.05)
