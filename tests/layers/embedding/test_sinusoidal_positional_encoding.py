"""SinusoidalPositionalEncoding: the encoding is added, from any start, in half precision, step by step."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.layers import SinusoidalPositionalEncoding
from keras_attn.ops.sinusoids import LAYOUTS, sinusoids

B, T, D = 2, 5, 7


@pytest.fixture
def inputs(rng):
    return rng.normal(size=(B, T, D)).astype("float32")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("start", [0, 3])
def test_adds_the_encoding_of_every_position(inputs, layout, start):
    outputs = SinusoidalPositionalEncoding(layout)(inputs, start_position=start)
    expected = inputs + ops.convert_to_numpy(sinusoids(range(start, start + T), D, layout))
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


def test_the_default_is_the_papers_layout(inputs):
    outputs = SinusoidalPositionalEncoding()(inputs)
    np.testing.assert_array_equal(outputs, SinusoidalPositionalEncoding("interleaved")(inputs))
    assert not np.allclose(outputs, SinusoidalPositionalEncoding("halves")(inputs))


def test_a_start_known_only_as_a_tensor(inputs):
    layer = SinusoidalPositionalEncoding()
    expected = layer(inputs, start_position=3)
    start = ops.convert_to_tensor(3, dtype="int32")
    np.testing.assert_array_equal(layer(inputs, start_position=start), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_step_by_step_equals_the_whole(inputs, layout):
    layer = SinusoidalPositionalEncoding(layout)
    whole = layer(inputs)
    for t in range(T):
        step = layer.step(inputs[:, t : t + 1], ops.convert_to_tensor(t, dtype="int32"))
        np.testing.assert_allclose(step[:, 0], whole[:, t], rtol=1e-6, atol=1e-6)
    hypotheses = layer.step(inputs[:, :3], 2)  # [B, 3, D], all at position 2
    np.testing.assert_allclose(
        hypotheses, inputs[:, :3] + ops.convert_to_numpy(sinusoids(2, D, layout)), rtol=1e-6
    )


def test_positions_that_do_not_count_up(inputs):
    layer, positions = SinusoidalPositionalEncoding(), np.array([[0, 0, 1, 2, 3], [7, 5, 11, 0, 2]])
    expected = inputs + ops.convert_to_numpy(sinusoids(positions, D))
    np.testing.assert_allclose(layer(inputs, positions=positions), expected, rtol=1e-6)
    step = layer.step(inputs[:, :3], positions[:, 2:3])  # K = 3 hypotheses, a position a row
    np.testing.assert_allclose(
        step, inputs[:, :3] + ops.convert_to_numpy(sinusoids([[1], [11]], D)), rtol=1e-6
    )


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.01), ("mixed_float16", 0.001)])
def test_half_precision_rounds_the_encoding_and_not_the_position(policy, tolerance):
    layer = SinusoidalPositionalEncoding(dtype=policy)
    start = 4095  # neither type has it
    outputs = layer(np.zeros((1, 3, 64), "float32"), start_position=start)
    expected = sinusoids(range(start, start + 3), 64)
    np.testing.assert_allclose(ops.cast(outputs[0], "float32"), expected, atol=tolerance)


def test_the_mask_is_handed_on():
    ids = np.array([[3, 1, 0], [2, 5, 4]])
    embedded = keras.layers.Embedding(7, D, mask_zero=True)(ids)
    np.testing.assert_array_equal(SinusoidalPositionalEncoding()(embedded)._keras_mask, ids != 0)


def test_lengths_known_only_at_run_time(inputs):
    entry, start = keras.Input((None, D)), keras.Input(batch_shape=(), dtype="int32")
    model = keras.Model([entry, start], SinusoidalPositionalEncoding()(entry, start_position=start))
    expected = SinusoidalPositionalEncoding()(inputs, start_position=11)
    np.testing.assert_allclose(model([inputs, np.int32(11)]), expected, rtol=1e-6)


def test_unknown_layout():
    with pytest.raises(ValueError, match=r"`layout` is unknown. Expected one of .*halves.*Received: .*both"):
        SinusoidalPositionalEncoding("both")
