"""The bound of the tests' own comparisons: as wide as rounding, and no wider."""

import numpy as np
import pytest

from .bounds import assert_close, rounding


def test_it_grows_with_what_is_added_up():
    assert rounding(1) == 2.0**-23
    assert rounding(18, size=5.0, layers=2) == 180 * rounding(1)
    assert rounding(1, dtype="bfloat16") == 2.0**-8


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_sums_in_any_order_are_close(dtype):
    rng = np.random.default_rng(3)
    numbers = rng.normal(size=(1009, 31)).astype(dtype)
    forth = np.add.accumulate(numbers, axis=0, dtype=dtype)[-1]
    back = np.add.accumulate(numbers[::-1], axis=0, dtype=dtype)[-1]
    assert not np.array_equal(forth, back)
    assert_close(forth, back, 1009, size=np.abs(numbers).astype(float).sum(axis=0).max(), dtype=dtype)


def test_what_is_farther_apart_is_found():
    expected = np.array([3.0, -0.5])
    assert_close(expected + 0.9 * rounding(10, 3.0), expected, 10)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_close(expected + 1.1 * rounding(10, 3.0), expected, 10)


def test_infinities_equal_themselves_alone():
    infinite = np.array([-np.inf, 1.0])
    assert_close(infinite, infinite, 1)
    with pytest.raises(AssertionError):
        assert_close([-1e30, 1.0], infinite, 1)
