"""Several places in one cached pass are several steps; and a cache that is taken back knows nothing of it."""

import numpy as np
import pytest

from keras_attn.layers import (
    ALiBiPositions,
    MultiHeadAttention,
    RotaryPositions,
    ShawPositions,
    T5Positions,
    TransformerEncoderBlock,
)

B, K, PAST, NEW, WIDTH = 2, 3, 5, 4, 7
HEADS, KEY_HEADS, KEY_WIDTH, VALUE_WIDTH = 6, 2, 8, 11
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


@pytest.fixture(name="inputs")
def inputs_fixture(rng):
    return rng.normal(size=(B, K, PAST + NEW, WIDTH)).astype("float32")


def attention(scheme="none", **options):
    layer = MultiHeadAttention(
        HEADS,
        KEY_WIDTH,
        VALUE_WIDTH,
        num_key_value_heads=KEY_HEADS,
        relative_positions=SCHEMES[scheme](),
        bias_initializer="random_normal",
        **options,
    )
    layer.build((B, NEW, WIDTH), (B, NEW, WIDTH))
    return layer


def by_steps(layer, inputs, start, cache, keep=None):
    """Outputs, the last cache, and the weights padded to the places of the last step."""
    length = start + inputs.shape[2]
    outputs, rows = [], []
    for t in range(start, length):
        seen = None if keep is None else keep[..., : t + 1]
        output, cache, weights = layer.step(inputs[:, :, t - start], t, cache, seen)
        outputs.append(np.asarray(output))
        rows.append(np.pad(weights, [[0, 0]] * 3 + [[0, length - t - 1]]))
    return np.stack(outputs, 2), cache, np.stack(rows, 3)


def check(layer, inputs, keep=None):
    _, past, _ = by_steps(layer, inputs[:, :, :PAST], 0, layer.empty_cache(B, K), keep)
    expected = by_steps(layer, inputs[:, :, PAST:], PAST, past, keep)
    outputs, cache, weights = layer.extend(inputs[:, :, PAST:], PAST, past, keep)
    np.testing.assert_allclose(outputs, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights, expected[2], rtol=1e-4, atol=1e-6)
    assert cache["keys"].shape == (B, K, KEY_HEADS, PAST + NEW, KEY_WIDTH)
    assert cache["values"].shape == (B, K, KEY_HEADS, PAST + NEW, VALUE_WIDTH)
    for name, leaf in cache.items():
        np.testing.assert_allclose(leaf, expected[1][name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_places_in_one_pass_are_steps(inputs, scheme):
    check(attention(scheme), inputs)


@pytest.mark.parametrize("window", [1, 2, 7])
def test_also_in_a_window(inputs, window):
    check(attention("rotary", implementation="windowed", window=window), inputs)


@pytest.mark.parametrize("window", [None, 3])
def test_also_past_padding_in_the_past(inputs, rng, window):
    options = {} if window is None else {"implementation": "windowed", "window": window}
    keep = np.arange(PAST + NEW) >= rng.integers(0, PAST + NEW, size=(B, K, 1))
    keep[0, 0] = np.arange(PAST + NEW) > PAST  # the first of the new places sees nothing at all
    layer = attention("t5_causal", **options)
    check(layer, inputs, keep)
    outputs, _, weights = layer.extend(inputs, 0, layer.empty_cache(B, K), keep)
    assert (np.asarray(outputs)[0, 0, : PAST + 1] == 0).all()
    assert (np.asarray(weights)[0, :, 0, : PAST + 1] == 0).all()


def test_no_place_sees_a_later_one(inputs):
    layer = attention("alibi")
    outputs, _, weights = layer.extend(inputs, 0, layer.empty_cache(B, K))
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, rtol=1e-5)
    changed = inputs.copy()
    changed[:, :, -1] += 1
    others, _, _ = layer.extend(changed, 0, layer.empty_cache(B, K))
    np.testing.assert_array_equal(np.asarray(outputs)[:, :, :-1], np.asarray(others)[:, :, :-1])
    assert not np.allclose(np.asarray(outputs)[:, :, -1], np.asarray(others)[:, :, -1])


def test_from_an_empty_cache_it_is_the_causal_call(inputs):
    layer = attention("shaw")
    outputs, _, _ = layer.extend(inputs, 0, layer.empty_cache(B, K))
    rows = inputs.reshape(B * K, PAST + NEW, WIDTH)
    expected = layer(rows, rows, use_causal_mask=True)
    np.testing.assert_allclose(np.reshape(outputs, expected.shape), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dropped", [0, 1, NEW])
def test_a_cache_that_is_taken_back(inputs, dropped):
    layer = attention("rotary")
    _, longer, _ = layer.extend(inputs, 0, layer.empty_cache(B, K))
    _, expected, _ = layer.extend(inputs[:, :, : PAST + NEW - dropped], 0, layer.empty_cache(B, K))
    for name, leaf in layer.rewind(longer, dropped).items():
        np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-6)


def test_an_encoder_block_of_a_language_model(inputs):
    block = TransformerEncoderBlock(2, 13, key_dim=5, norm_first=True, num_key_value_heads=1)
    block.build((B, NEW, WIDTH))
    _, past, _ = by_steps(block, inputs[:, :, :PAST], 0, block.empty_cache(B, K))
    expected = by_steps(block, inputs[:, :, PAST:], PAST, past)
    outputs, longer, weights = block.extend(inputs[:, :, PAST:], PAST, past)
    np.testing.assert_allclose(outputs, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(weights, expected[2], rtol=1e-4, atol=1e-6)
    for name, leaf in block.rewind(longer, NEW).items():
        np.testing.assert_array_equal(leaf, past[name])
