"""TransformerDecoderBlock: against PyTorch, masks, step by step for several hypotheses, weights."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import RotaryPositions, T5Positions, TransformerDecoderBlock

from ...bounds import assert_close

B, T, S, H, D, HIDDEN = 3, 5, 7, 2, 14, 11
# What is added up on the way to a number.
TERMS = 9 * D + T + S + HIDDEN
NORMS = pytest.mark.parametrize("norm_first", [False, True], ids=["post_norm", "pre_norm"])


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


@pytest.fixture
def memory(rng):
    return rng.normal(size=(B, S, D)).astype("float32")


@pytest.fixture
def memory_mask():
    return np.arange(S) < np.array([[S], [3], [1]])


def make(rng, memory_dim=D, **settings):
    """A block whose weights are all random, biases and norms too."""
    block = TransformerDecoderBlock(H, HIDDEN, **settings)
    block.build((None, None, D), (None, None, memory_dim))
    for weight in block.trainable_weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return block


def torch_twin(torch, torch_copies, block):
    """`torch.nn.TransformerDecoderLayer` with the weights of the block."""
    twin = torch.nn.TransformerDecoderLayer(
        D, H, HIDDEN, dropout=0.0, batch_first=True, norm_first=block.norm_first, activation="relu"
    )
    connections = [block.self_attention, block.cross_attention, block.feed_forward]
    attentions = [twin.self_attn, twin.multihead_attn]
    for theirs, ours in zip(attentions, connections, strict=False):
        torch_copies.attention(theirs, ours.sublayer)
    torch_copies.weights(twin.linear1, block.feed_forward.sublayer.hidden)
    torch_copies.weights(twin.linear2, block.feed_forward.sublayer.output_projection)
    for theirs, ours in zip([twin.norm1, twin.norm2, twin.norm3], connections, strict=True):
        torch_copies.weights(theirs, ours.normalization)
    return twin.eval()


@NORMS
@pytest.mark.parametrize("causal", [True, False])
def test_against_torch(inputs, memory, memory_mask, rng, torch_copies, norm_first, causal):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    block = make(rng, norm_first=norm_first)
    twin = torch_twin(torch, torch_copies, block)
    mask = np.arange(T) < np.array([[T], [2], [3]])
    outputs = block(inputs, memory, inputs_mask=mask, memory_mask=memory_mask, use_causal_mask=causal)
    with torch.no_grad():
        expected = twin(
            torch.from_numpy(inputs),
            torch.from_numpy(memory),
            tgt_mask=torch.from_numpy(~np.tri(T, dtype=bool)) if causal else None,
            tgt_key_padding_mask=torch.from_numpy(~mask),
            memory_key_padding_mask=torch.from_numpy(~memory_mask),
        ).numpy()
    assert_close(ops.convert_to_numpy(outputs)[mask], expected[mask], TERMS)


STEPS = {
    "post_norm": {},
    "pre_norm": {"norm_first": True},
    "grouped": {"num_key_value_heads": 1, "memory_dim": 13},
    "rotary": {"relative_positions": RotaryPositions(), "key_dim": 4},
    "t5": {"relative_positions": T5Positions(8, 17, bidirectional=False)},
    "windowed": {"implementation": "windowed", "window": 2},
}


@pytest.mark.parametrize("kind", STEPS)
def test_step_by_step_equals_the_whole(inputs, memory_mask, rng, kind):
    settings = dict(STEPS[kind])
    if "relative_positions" in settings:  # a scheme keeps its weights, so each test has its own
        scheme = settings["relative_positions"]
        settings["relative_positions"] = type(scheme).from_config(scheme.get_config())
    memory = rng.normal(size=(B, S, settings.get("memory_dim", D))).astype("float32")
    block = make(rng, **settings)
    whole = block(inputs, memory, memory_mask=memory_mask)
    prepared, cache = block.prepare_memory(memory), block.empty_cache(B)
    for t in range(T):
        position = ops.convert_to_tensor(t, dtype="int32")
        step, cache, _ = block.step(inputs[:, t : t + 1], position, cache, prepared, memory_mask[:, None, :])
        assert_close(step[:, 0], whole[:, t], TERMS)
        assert {x.shape[3] for x in keras.tree.flatten(cache)} == {t + 1}


def test_alignments_of_the_steps_are_the_weights_of_the_whole(inputs, memory, memory_mask, rng):
    block = make(rng)
    _, own, cross = block(inputs, memory, memory_mask=memory_mask, return_attention_scores=True)
    assert (own.shape, cross.shape) == ((B, H, T, T), (B, H, T, S))
    prepared, cache = block.prepare_memory(memory), block.empty_cache(B)
    for t in range(T):
        _, cache, weights = block.step(inputs[:, t : t + 1], t, cache, prepared, memory_mask[:, None])
        assert_close(weights[:, :, 0], cross[:, :, t], TERMS)
    hidden = np.broadcast_to(~memory_mask[:, None, None], cross.shape)
    assert (ops.convert_to_numpy(cross)[hidden] == 0).all()
    assert (ops.convert_to_numpy(own)[..., ~np.tri(T, dtype=bool)] == 0).all()


def test_hypotheses_of_a_row_share_its_memory(memory, memory_mask, rng):
    """K = 3 hypotheses at once equal each of them alone, over two steps."""
    block = make(rng, norm_first=True)
    prepared, keep = block.prepare_memory(memory), memory_mask[:, None]
    steps = rng.normal(size=(2, B, 3, D)).astype("float32")
    together = block.empty_cache(B, 3)
    alone = [block.empty_cache(B, 1) for _ in range(3)]
    for t in range(2):
        outputs, together, weights = block.step(steps[t], t, together, prepared, keep)
        for k in range(3):
            one, alone[k], row = block.step(steps[t][:, k : k + 1], t, alone[k], prepared, keep)
            assert_close(outputs[:, k : k + 1], one, TERMS)
            assert_close(weights[:, :, k : k + 1], row, TERMS)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_steps_have_the_dtypes_of_the_whole(inputs, memory, policy):
    block = TransformerDecoderBlock(H, HIDDEN, dtype=policy)
    whole = block(inputs, memory)
    prepared, cache = block.prepare_memory(memory), block.empty_cache(B)
    step, after, weights = block.step(inputs[:, :1], 0, cache, prepared)
    assert step.dtype == whole.dtype
    assert keras.backend.standardize_dtype(weights.dtype) == "float32"
    dtypes = {x.dtype for x in keras.tree.flatten([prepared, cache, after])}
    assert dtypes == {whole.dtype}
    np.testing.assert_allclose(*(ops.cast(x, "float32") for x in (step[:, 0], whole[:, 0])), atol=0.05)


def test_masks_of_both_sides_arrive_implicitly(rng):
    targets, sources = np.array([[3, 1, 0], [2, 5, 4]]), np.array([[1, 2, 3, 0, 0], [5, 4, 3, 2, 1]])
    embedding, block = keras.layers.Embedding(7, D, mask_zero=True), make(rng)
    outputs, own, cross = block(embedding(targets), embedding(sources), return_attention_scores=True)
    keep = (targets != 0)[:, :, None] & (sources != 0)[:, None]
    np.testing.assert_array_equal(ops.convert_to_numpy(cross)[:, 1] != 0, keep)
    causal = (targets != 0)[:, :, None] & (targets != 0)[:, None] & np.tri(3, dtype=bool)
    np.testing.assert_array_equal(ops.convert_to_numpy(own)[:, 0] != 0, causal)
    np.testing.assert_array_equal(outputs._keras_mask, targets != 0)


def test_masks_by_their_places():
    """Of sequences whose own masks have got lost."""
    ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(9, 8, mask_zero=True)(ids) * 2.0
    mask = ops.not_equal(ids, 0)
    outputs = TransformerDecoderBlock(2, 8)(embedded, embedded, mask, mask)
    assert outputs.shape == (None, None, 8)


def test_masks_of_single_places(inputs, memory, rng):
    block = make(rng)
    own_keep, cross_keep = rng.random((B, T, T)) < 0.7, rng.random((B, T, S)) < 0.7
    _, own, cross = block(
        inputs,
        memory,
        attention_mask=own_keep,
        memory_attention_mask=cross_keep,
        return_attention_scores=True,
    )
    for weights, keep in ((own, own_keep & np.tri(T, dtype=bool)), (cross, cross_keep)):
        for head in range(H):
            np.testing.assert_array_equal(ops.convert_to_numpy(weights)[:, head] != 0, keep)


def test_later_inputs_change_nothing(inputs, memory, rng):
    block = make(rng, norm_first=True)
    changed = inputs.copy()
    changed[:, 3:] = 100
    before, after = (ops.convert_to_numpy(block(x, memory)) for x in (inputs, changed))
    assert_close(before[:, :3], after[:, :3], TERMS)
    assert not np.allclose(before[:, 3:], after[:, 3:])


def test_rates_go_to_their_places():
    block = TransformerDecoderBlock(H, HIDDEN, dropout=0.1, attention_dropout=0.2, activation_dropout=0.3)
    block.build((None, None, D), (None, None, D))
    connections = [block.self_attention, block.cross_attention, block.feed_forward]
    assert [connection.output_dropout.rate for connection in connections] == [0.1] * 3
    assert [connection.sublayer.dropout for connection in connections] == [0.2, 0.2, 0.3]


def test_a_step_drops_nothing(inputs, memory, rng):
    rates = {"dropout": 0.5, "attention_dropout": 0.5, "activation_dropout": 0.5}
    block = make(rng, **rates)
    prepared, cache = block.prepare_memory(memory), block.empty_cache(B)
    once, again = (block.step(inputs[:, :1], 0, cache, prepared)[0] for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_steps_pass_over_padding_in_the_past(inputs, memory, rng):
    block = make(rng)
    mask = np.arange(T) >= np.array([[0], [2], [1]])
    whole = block(inputs, memory, attention_mask=mask[:, None])
    prepared, cache = block.prepare_memory(memory), block.empty_cache(B)
    for t in range(T):
        keep = mask[:, None, : t + 1]
        step, cache, _ = block.step(inputs[:, t : t + 1], t, cache, prepared, keep=keep)
        assert_close(step[:, 0], whole[:, t], TERMS)
