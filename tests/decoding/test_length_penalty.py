"""Length penalties by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import decoding
from keras_attn.decoding import GNMTLengthPenalty, PowerLengthPenalty

KINDS = [getattr(decoding, name) for name in decoding.__all__ if name.endswith("LengthPenalty")]


@pytest.mark.parametrize(
    ("penalty", "length", "ended", "expected"),
    [
        (GNMTLengthPenalty(0.0), 7, True, 1.0),
        (GNMTLengthPenalty(2.0), 13, True, 9.0),
        (GNMTLengthPenalty(-1.0), 7, True, 0.5),
        (GNMTLengthPenalty(2.0), 13, False, 9.0),
        (PowerLengthPenalty(0.0), 7, True, 1.0),
        (PowerLengthPenalty(), 7, True, 7.0),
        (PowerLengthPenalty(2.0), 7, False, 49.0),
        (PowerLengthPenalty(2.0, count_end=False), 7, True, 36.0),
        (PowerLengthPenalty(2.0, count_end=False), 7, False, 49.0),
        (PowerLengthPenalty(1.0, count_end=False), 1, True, 1.0),  # not 0: nothing is divided by it
        (PowerLengthPenalty(1.0), 0, False, 1.0),
    ],
)
def test_by_hand(penalty, length, ended, expected):
    assert float(penalty(tf.constant(float(length)), ended)) == pytest.approx(expected)


def test_the_default_is_that_of_the_paper():
    assert float(GNMTLengthPenalty()(7.0)) == pytest.approx(2**0.6)


@pytest.mark.parametrize("kind", KINDS)
def test_another_strength(kind):
    penalty = kind().with_strength(0.3)
    assert type(penalty) is kind
    assert penalty.strength == 0.3
    assert float(penalty(5.0)) == float(kind(0.3)(5.0)) != float(kind()(5.0))


@pytest.mark.parametrize("kind", KINDS)
def test_an_exponent_for_every_row(kind):
    exponents = [0.5, 2.0, -1.0]
    together = kind(tf.constant(exponents))(tf.constant(5.0))
    assert together.shape == (3, 1)
    np.testing.assert_allclose(together[:, 0], [float(kind(x)(5.0)) for x in exponents], rtol=1e-6)
