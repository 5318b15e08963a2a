"""Relative positions: each scheme against its paper's formula, alone and inside the attention."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.layers import (
    ALiBiPositions,
    MultiHeadAttention,
    RelativePositions,
    RotaryPositions,
    ShawPositions,
    T5Positions,
    TransformerEncoderBlock,
)
from keras_attn.layers.embedding.alibi_positions import alibi_slopes
from keras_attn.layers.embedding.relative_positions import distances
from keras_attn.layers.embedding.t5_positions import bucket_table

B, HEADS, T, S, E, VALUE_WIDTH = 2, 3, 5, 7, 4, 11
QUERY_POSITIONS, KEY_POSITIONS = np.arange(2, 7), np.arange(7)
SCHEMES = [ShawPositions(3), T5Positions(8, 5), ALiBiPositions(), RotaryPositions()]


def built(scheme, num_heads=HEADS, width=E):
    scheme.build((B, num_heads, T, width), (B, num_heads, S, VALUE_WIDTH))
    return scheme


@pytest.fixture
def query(rng):
    return rng.normal(size=(B, HEADS, T, E)).astype("float32")


@pytest.fixture
def weights(rng):
    return rng.random((B, HEADS, T, S)).astype("float32")


def test_distances_by_hand():
    assert np.asarray(distances([2, 5], [2, 3, 7])).tolist() == [[0, 1, 5], [-3, -2, 2]]


def test_a_scheme_does_nothing_unless_it_says_so(query, weights):
    scheme = built(RelativePositions())
    assert scheme.rotate(query, QUERY_POSITIONS) is query
    assert scheme.logits(query, QUERY_POSITIONS, KEY_POSITIONS) is None
    assert scheme.context(weights, QUERY_POSITIONS, KEY_POSITIONS) is None


@pytest.mark.parametrize("max_distance", [1, 2, 13])
def test_shaw_against_loops(query, weights, max_distance):
    scheme = built(ShawPositions(max_distance))
    logits = scheme.logits(query, QUERY_POSITIONS, KEY_POSITIONS)
    context = scheme.context(weights, QUERY_POSITIONS, KEY_POSITIONS)
    keys, values = scheme.key_embeddings.numpy(), scheme.value_embeddings.numpy()
    expected_logits, expected_context = np.zeros((B, HEADS, T, S)), np.zeros((B, HEADS, T, VALUE_WIDTH))
    for b, h, t, s in np.ndindex(B, HEADS, T, S):
        index = max(-max_distance, min(max_distance, s - (t + 2))) + max_distance
        expected_logits[b, h, t, s] = query[b, h, t] @ keys[index]
        expected_context[b, h, t] += weights[b, h, t, s] * values[index]
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(context, expected_context, rtol=1e-4, atol=1e-5)


def test_shaw_in_the_attention_adds_its_vectors_to_keys_and_values(rng):
    """Equations 3 to 5 for one head whose projections are identities."""
    layer = MultiHeadAttention(1, E, use_bias=False, relative_positions=ShawPositions(2))
    rows = rng.normal(size=(1, T, E)).astype("float32")
    layer.build(rows.shape, rows.shape)
    for name in ("query", "key", "value", "output"):
        getattr(layer, f"{name}_projection").kernel.assign(np.eye(E))
    keys, values = (x.numpy() for x in layer.relative_positions.weights)
    expected = np.zeros((T, E))
    for i in range(T):
        index = np.clip(np.arange(T) - i, -2, 2) + 2
        energy = np.exp((rows[0] + keys[index]) @ rows[0, i] / math.sqrt(E))
        expected[i] = (energy / energy.sum()) @ (rows[0] + values[index])
    np.testing.assert_allclose(layer(rows, rows)[0], expected, rtol=1e-4, atol=1e-5)


def test_shaw_without_vectors_for_values(weights):
    scheme = built(ShawPositions(2, use_values=False))
    assert len(scheme.weights) == 1
    assert scheme.context(weights, QUERY_POSITIONS, KEY_POSITIONS) is None


def test_shaw_begins_with_other_numbers_for_keys_than_for_values():
    scheme = ShawPositions(2)
    scheme.build((B, HEADS, T, E), (B, HEADS, S, E))
    assert not np.array_equal(*scheme.get_weights())


def t5_oracle(distance, num_buckets, max_distance, bidirectional):
    """As the paper's program has it, with logarithms; the small addend undoes their rounding."""
    bucket = 0
    if bidirectional:
        num_buckets //= 2
        bucket = num_buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = num_buckets // 2
    if distance < exact:
        return bucket + distance
    ratio = math.log(distance / exact) / math.log(max_distance / exact)
    return bucket + min(exact + int(ratio * (num_buckets - exact) + 1e-9), num_buckets - 1)


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 5), (12, 100), (64, 1000)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_t5_buckets_against_logarithms(num_buckets, max_distance, bidirectional):
    scheme = T5Positions(num_buckets, max_distance, bidirectional=bidirectional)
    distance = np.arange(-2 * max_distance, 2 * max_distance)
    expected = [
        t5_oracle(d, num_buckets, max_distance, bidirectional=bidirectional) for d in distance.tolist()
    ]
    assert np.asarray(scheme.buckets(distance)).tolist() == expected


def test_t5_buckets_by_hand():
    """One direction of the published models: 16 buckets, 8 of them exact, doubling every other bucket."""
    table = bucket_table(16, 128)
    assert table[:8] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [table[distance] for distance in (8, 11, 12, 15, 16, 22, 23, 31, 32, 63, 64, 90, 91, 128)] == (
        [8, 8, 9, 9, 10, 10, 11, 11, 12, 13, 14, 14, 15, 15]
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_t5_adds_the_number_of_the_bucket(query, bidirectional):
    scheme = built(T5Positions(8, 5, bidirectional=bidirectional))
    bias = scheme.bias.numpy()
    assert bias.shape == (8, HEADS)
    logits = scheme.logits(query, QUERY_POSITIONS, KEY_POSITIONS)
    for h, t, s in np.ndindex(HEADS, T, S):
        bucket = t5_oracle(s - (t + 2), 8, 5, bidirectional)
        assert logits[h, t, s] == bias[bucket, h]


@pytest.mark.parametrize(
    ("num_heads", "exponents"),
    [
        (1, [-8]),
        (8, [-1, -2, -3, -4, -5, -6, -7, -8]),
        (3, [-4, -8, -2]),
        (12, [-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5]),
    ],
)
def test_alibi_slopes_by_hand(num_heads, exponents):
    np.testing.assert_allclose(alibi_slopes(num_heads), 2.0 ** np.array(exponents), rtol=1e-12)


def test_alibi_logits_by_hand():
    """The example of the paper's figure 3, for two heads: slopes 1/16 and 1/256."""
    logits = built(ALiBiPositions(), num_heads=2).logits(None, [1, 2], [0, 1, 2])
    expected = -np.array([[1, 0, 1], [2, 1, 0]]) * np.array([1 / 16, 1 / 256])[:, None, None]
    np.testing.assert_array_equal(logits, expected)


def test_rotary_against_complex_numbers(query):
    """Equation 13: the pairs are complex numbers, times exp(i position angle)."""
    turned = built(RotaryPositions(base=101.0)).rotate(query, QUERY_POSITIONS)
    angles = QUERY_POSITIONS[:, None] * 101.0 ** (-2 * np.arange(E // 2) / E)
    expected = (query[..., ::2] + 1j * query[..., 1::2]) * np.exp(1j * angles)
    np.testing.assert_allclose(turned[..., ::2], expected.real, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(turned[..., 1::2], expected.imag, rtol=1e-4, atol=1e-6)


def test_rotary_layouts_differ_by_the_order_of_the_numbers(query):
    order = [0, 2, 1, 3]  # pairs (0, 1), (2, 3) become (0, 2), (1, 3)
    interleaved = RotaryPositions().rotate(query, QUERY_POSITIONS)
    half = RotaryPositions(layout="half").rotate(query[..., order], QUERY_POSITIONS)
    np.testing.assert_array_equal(np.asarray(interleaved)[..., order], half)


@pytest.mark.parametrize("layout", RotaryPositions.LAYOUTS)
def test_rotary_products_depend_on_the_distance_alone(rng, layout):
    scheme = RotaryPositions(layout=layout)
    query, key = (rng.normal(size=(1, 1, 1, 8)).astype("float32") for _ in range(2))

    def product(t, s):
        return float(np.sum(scheme.rotate(query, [t]) * scheme.rotate(key, [s])))

    assert product(3, 5) == pytest.approx(product(103, 105), rel=1e-4)
    assert product(3, 5) != pytest.approx(product(3, 6), rel=1e-2)


def test_rotary_positions_are_exact_in_bfloat16():
    """bfloat16 knows no 257: angles computed in it would make 256 and 257 the same."""
    scheme, ones = RotaryPositions(dtype="mixed_bfloat16"), tf.ones((1, 1, 2, 4), tf.bfloat16)
    turned = scheme.rotate(ones, tf.constant([256, 257]))
    assert turned.dtype == tf.bfloat16
    exact = scheme.rotate(tf.cast(ones, tf.float32), [256, 257])
    np.testing.assert_allclose(tf.cast(turned, tf.float32), exact, atol=0.01)
    assert abs(float(exact[0, 0, 0, 0] - exact[0, 0, 1, 0])) > 0.1


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
def test_config_round_trip(scheme):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(scheme))
    assert type(again) is type(scheme)
    assert again.get_config() == scheme.get_config()


@pytest.mark.parametrize("scheme", [ShawPositions, T5Positions])
def test_one_instance_shared_by_two_layers_has_one_set_of_weights(rng, scheme):
    shared = scheme(8)
    layers = [MultiHeadAttention(HEADS, E, relative_positions=shared) for _ in range(2)]
    rows = rng.normal(size=(B, T, 5)).astype("float32")
    for layer in layers:
        layer(rows, rows)
    assert layers[0].relative_positions.weights[0] is layers[1].relative_positions.weights[0]


@pytest.mark.parametrize("scheme", [ShawPositions, T5Positions])
@pytest.mark.parametrize(
    "make",
    [
        lambda scheme: MultiHeadAttention(HEADS, E, relative_positions=scheme),
        lambda scheme: TransformerEncoderBlock(HEADS, 7, key_dim=E, relative_positions=scheme),
    ],
)
def test_what_is_shared_is_shared_in_a_file_too(rng, tmp_path, scheme, make):
    shared, inputs = scheme(8), keras.Input((None, 5))
    others = [make(scheme(8)), make(shared), make(shared)]
    outputs = inputs
    for layer in others:
        outputs = layer(outputs, outputs) if isinstance(layer, MultiHeadAttention) else layer(outputs)
    model = keras.Model(inputs, outputs)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.weights) == len(model.weights)
    rows = rng.normal(size=(B, T, 5)).astype("float32")
    np.testing.assert_array_equal(loaded(rows), model(rows))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShawPositions(0), "`max_distance` must be a whole number of at least 1.*max_distance=0"),
        (lambda: T5Positions(2.0), "`num_buckets` must be a whole number.*num_buckets=2.0"),
        (lambda: T5Positions(30), "Expected a multiple of 4 with bidirectional=True.*num_buckets=30"),
        (
            lambda: T5Positions(31, bidirectional=False),
            "Expected a multiple of 2 with bidirectional=False.*num_buckets=31",
        ),
        (lambda: T5Positions(32, 8), "must lie beyond the exact buckets. Expected more than 8.*=8"),
        (lambda: T5Positions(max_distance="7"), "`max_distance` must be a whole number.*max_distance='7'"),
        (lambda: RotaryPositions(layout="pairs"), r"Expected one of \('interleaved', 'half'\).*'pairs'"),
        (lambda: built(RotaryPositions(), width=5), "Expected an even `key_dim`. Received: key_dim=5"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
