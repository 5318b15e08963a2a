"""MultiHeadAttention in a decoder: steps with a cache, and a memory that is projected once."""

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

from ...bounds import assert_close

B, T, S, Q_DIM, V_DIM, K_DIM = 2, 3, 5, 7, 11, 13
HEADS, KEY_HEADS, KEY_WIDTH, VALUE_WIDTH, OUTPUT_DIM = 6, 2, 4, 17, 19
# What is added up on the way to a number.
TERMS = Q_DIM + V_DIM + K_DIM + KEY_WIDTH + S + HEADS * VALUE_WIDTH
SCHEMES = {
    "none": lambda: None,
    "shaw": lambda: ShawPositions(2),
    "shaw_keys_alone": lambda: ShawPositions(3, use_values=False),
    "t5": lambda: T5Positions(8, 5),
    "t5_causal": lambda: T5Positions(8, 7, bidirectional=False),
    "alibi": ALiBiPositions,
    "rotary": RotaryPositions,
    "rotary_half": lambda: RotaryPositions(base=101.0, layout="half"),
}


def make(**options):
    """Sizes that all differ, and biases that are not 0."""
    sizes = {"value_dim": VALUE_WIDTH, "num_key_value_heads": KEY_HEADS, "output_shape": OUTPUT_DIM}
    options = {**sizes, "bias_initializer": "random_normal", **options}
    return MultiHeadAttention(HEADS, KEY_WIDTH, **options)


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_step_by_step_equals_the_full_causal_pass(rng, scheme):
    hypotheses, length = 3, 7
    layer = MultiHeadAttention(
        HEADS, KEY_WIDTH, 5, num_key_value_heads=KEY_HEADS, relative_positions=SCHEMES[scheme]()
    )
    rows = rng.normal(size=(B * hypotheses, length, Q_DIM)).astype("float32")
    expected, expected_weights = layer(rows, rows, use_causal_mask=True, return_attention_scores=True)
    cache = layer.empty_cache(B, hypotheses)
    for t in range(length):
        inputs = rows[:, t].reshape(B, hypotheses, Q_DIM)
        outputs, cache, weights = layer.step(inputs, t, cache)
        assert cache["keys"].shape == (B, hypotheses, KEY_HEADS, t + 1, KEY_WIDTH)
        assert cache["values"].shape == (B, hypotheses, KEY_HEADS, t + 1, 5)
        assert weights.shape == (B, HEADS, hypotheses, t + 1)
        flat = np.asarray(outputs).reshape(B * hypotheses, Q_DIM)
        assert_close(flat, expected[:, t], TERMS)
        row = np.swapaxes(weights, 1, 2).reshape(B * hypotheses, HEADS, t + 1)
        assert_close(row, expected_weights[:, :, t, : t + 1], TERMS)


@pytest.mark.parametrize(
    "options", [{"implementation": "blockwise"}, {"implementation": "windowed", "window": 2}]
)
def test_step_by_step_equals_the_other_implementations(rng, options):
    layer = MultiHeadAttention(HEADS, KEY_WIDTH, relative_positions=RotaryPositions(), **options)
    rows = rng.normal(size=(B, 7, Q_DIM)).astype("float32")
    expected = layer(rows, rows, use_causal_mask=True)
    cache = layer.empty_cache(B, 1)
    for t in range(7):
        outputs, cache, _ = layer.step(rows[:, t : t + 1], t, cache)
        assert_close(outputs, expected[:, t : t + 1], TERMS)


@pytest.mark.parametrize("scheme", ["none", "shaw", "t5_causal", "rotary"])
def test_steps_inside_a_loop_whose_cache_grows(rng, scheme):
    """All sizes but the widths are known only at run time, as in an exported decoder."""
    layer = MultiHeadAttention(HEADS, KEY_WIDTH, relative_positions=SCHEMES[scheme](), dtype="mixed_bfloat16")
    rows = rng.normal(size=(B, 5, Q_DIM)).astype("float32")
    expected = layer(rows, rows, use_causal_mask=True)

    growing = tf.TensorShape([None, 1, HEADS, None, KEY_WIDTH])
    shapes = (tf.TensorShape([]), {"keys": growing, "values": growing}, tf.TensorShape([None, None, Q_DIM]))

    @tf.function(input_signature=[tf.TensorSpec([None, None, Q_DIM])])
    def decode(rows):
        def advance(t, cache, outputs):
            output, cache, _ = layer.step(rows[:, t : t + 1], t, cache)
            return t + 1, cache, tf.concat([outputs, output], axis=1)

        batch, length, _ = tf.unstack(tf.shape(rows))
        start = (0, layer.empty_cache(batch, 1), tf.zeros([batch, 0, Q_DIM], layer.compute_dtype))
        return tf.while_loop(lambda t, *_: t < length, advance, start, shape_invariants=shapes)[-1]

    np.testing.assert_allclose(
        tf.cast(decode(rows), tf.float32), tf.cast(expected, tf.float32), rtol=2e-2, atol=1e-2
    )


@pytest.mark.parametrize("num_queries", [1, 3])
def test_project_memory_and_attend_equal_call_against_one_copy_of_the_memory(inputs, num_queries):
    layer = make()
    query, value, key = inputs["query"][:, :num_queries], inputs["value"], inputs["key"]
    keep = np.array([[[True, True, False, True, False]], [[True] * S]])
    expected = layer(query, value, key, attention_mask=keep, return_attention_scores=True)
    memory = layer.project_memory(value, key)
    assert memory["keys"].shape == (B, KEY_HEADS, S, KEY_WIDTH)
    assert memory["values"].shape == (B, KEY_HEADS, S, VALUE_WIDTH)
    together = layer.attend(query, memory, keep)
    for one, other in zip(together, expected, strict=True):
        assert_close(one, other, TERMS)
    assert layer.attend(query, memory)[1].shape == (B, HEADS, num_queries, S)


@pytest.mark.parametrize(
    "options",
    [{"relative_positions": RotaryPositions()}, {"implementation": "windowed", "window": 3}],
)
def test_attend_has_no_positions(inputs, options):
    layer = make(**options)
    layer(**inputs)
    with pytest.raises(ValueError, match=r"`attend` knows no positions.*Use `step` for self-attention"):
        layer.attend(inputs["query"], layer.project_memory(inputs["value"], inputs["key"]))


@pytest.mark.parametrize("scheme", ["none", "rotary", "t5_causal"])
@pytest.mark.parametrize("window", [None, 2])
def test_steps_pass_over_padding_in_the_past(rng, scheme, window):
    """Prompts of unequal length, padded in front: as a full pass under the same mask."""
    hypotheses, length = 3, 5
    options = {"implementation": "full" if window is None else "windowed", "window": window}
    layer = MultiHeadAttention(
        HEADS, KEY_WIDTH, relative_positions=SCHEMES[scheme](), bias_initializer="random_normal", **options
    )
    rows = rng.normal(size=(B * hypotheses, length, Q_DIM)).astype("float32")
    keep = np.arange(length) >= rng.integers(0, 4, size=(B * hypotheses, 1))
    expected = layer(rows, rows, value_mask=keep, use_causal_mask=True)
    cache = layer.empty_cache(B, hypotheses)
    for t in range(length):
        seen = keep[:, : t + 1].reshape(B, hypotheses, t + 1)
        inputs = rows[:, t].reshape(B, hypotheses, Q_DIM)
        outputs, cache, weights = layer.step(inputs, t, cache, keep=seen)
        flat = np.asarray(outputs).reshape(B * hypotheses, Q_DIM)
        assert_close(flat, expected[:, t], TERMS)
        assert (np.moveaxis(weights, 1, 0)[:, ~seen] == 0).all()
        assert (flat[~keep[:, : t + 1].any(-1)] == 0).all()


def test_a_mask_of_the_past_broadcasts(rng):
    layer = MultiHeadAttention(HEADS, KEY_WIDTH)
    inputs = rng.normal(size=(B, 3, Q_DIM)).astype("float32")
    layer.build(inputs.shape, inputs.shape)
    _, cache, _ = layer.step(inputs, 0, layer.empty_cache(B, 3))
    _, _, weights = layer.step(inputs, 1, cache, keep=np.array([False, True]))
    weights = np.asarray(weights)
    assert (weights[..., 0] == 0).all()
    assert_close(weights[..., 1], 1, 2)  # an exponential, and its share of the sum


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_hypothesis_with_nothing_to_see_gives_zero(inputs, policy):
    layer = make(dtype=policy)
    layer(**inputs)
    keep = np.array([[[True] * S, [False] * S, [True] * S]] * B)
    memory = layer.project_memory(inputs["value"], inputs["key"])
    output, weights = layer.attend(inputs["query"], memory, keep)
    assert (tf.cast(output, tf.float32)[:, 1].numpy() == 0).all()
    assert (weights[:, :, 1].numpy() == 0).all()
    assert np.all(tf.cast(output, tf.float32)[:, 0] != 0)
