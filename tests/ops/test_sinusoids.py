"""Positions and their sinusoids: by hand, against the formulae of the paper and of tensor2tensor, far out."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.sinusoids import LAYOUTS, position_range, sinusoids


def paper(position, width):
    """Vaswani et al. 2017, section 3.5, one number at a time."""
    encoding = np.zeros(width)
    for column in range(width):
        angle = position / 10000 ** (2 * (column // 2) / width)
        encoding[column] = math.sin(angle) if column % 2 == 0 else math.cos(angle)
    return encoding


def tensor2tensor(position, width):
    """All sines, then all cosines, wave lengths from 1 to 10000 inclusive; a zero where the width is odd."""
    half = width // 2
    step = math.log(10000) / max(half - 1, 1)
    angles = [position * math.exp(-step * i) for i in range(half)]
    return np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles] + [0.0] * (width % 2))


def opennmt(position, width):
    return tensor2tensor(position + 1, width)


ORACLES = {"interleaved": paper, "halves": tensor2tensor, "opennmt": opennmt}


def test_by_hand():
    """Position 1 at width 4: wave lengths 1 and 100 in the paper, 1 and 10000 in the others."""
    assert ops.convert_to_numpy(sinusoids([0], 4)).tolist() == [[0, 1, 0, 1]]
    np.testing.assert_allclose(
        sinusoids([1], 4), [[math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]], rtol=1e-6
    )
    expected = [[math.sin(1), math.sin(1e-4), math.cos(1), math.cos(1e-4)]]
    np.testing.assert_allclose(sinusoids([1], 4, "halves"), expected, rtol=1e-6)
    np.testing.assert_allclose(sinusoids([0], 4, "opennmt"), expected, rtol=1e-6)


def test_every_layout_has_an_oracle():
    assert set(ORACLES) == set(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 13, 64])
def test_against_the_formulae(layout, width):
    positions = [0, 1, 2, 7, 256, 257, 1009]
    expected = [ORACLES[layout](position, width) for position in positions]
    received = sinusoids(positions, width, layout)
    assert received.shape == (7, width)
    assert keras.backend.standardize_dtype(received.dtype) == "float32"
    np.testing.assert_allclose(received, expected, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_of_any_shape(layout):
    positions = np.array([[0, 3, 5], [7, 2, 1]])
    table = ops.convert_to_numpy(sinusoids(range(8), 5, layout))
    np.testing.assert_allclose(sinusoids(positions, 5, layout), table[positions], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(sinusoids(3, 5, layout), table[3], rtol=1e-6, atol=1e-6)


def test_half_precision_positions_are_not_rounded():
    """bfloat16 has no 257: computed there, it would be 256."""
    row = sinusoids(ops.cast(257, "int32"), 64)
    np.testing.assert_allclose(row, paper(257, 64), atol=1e-4)
    assert np.abs(paper(257, 64) - paper(256, 64)).max() > 0.4


@pytest.mark.parametrize("start", [0, 3, np.int32(3), np.int64(1000)])
def test_range(start):
    positions = position_range(5, start)
    assert keras.backend.standardize_dtype(positions.dtype) == "int32"
    assert ops.convert_to_numpy(positions).tolist() == [int(start) + t for t in range(5)]
