"""How far two computations of the same numbers may be apart: a bound from what they add up.

Kernels add up in different orders, by the processor's instruction set, by the shape of a batch, and compiled
or not. Copies, gathers and what a mask hides stay exact, and are compared exactly.
"""

import numpy as np

# The largest relative error of one operation: half the distance from 1 to the next number.
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-9}


def rounding(terms, size=1.0, layers=1, dtype="float32"):
    """The bound of the difference between two sums of so many terms.

    Each of them is within n u / (1 - n u) of the sum of the magnitudes, in whatever order it is added up
    (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1), so that the two are
    within twice that. The order is not at random here: it depends on the processor.

    Args:
        terms: numbers that are added up, or multiplied, on the way to each number.
        size: of the sum of their magnitudes.
        layers: how often the result goes into another such sum.
        dtype: of the computation.
    """
    return 2 * layers * terms * UNITS[dtype] * size


def assert_close(received, expected, terms, size=None, layers=1, dtype="float32"):
    """Two arrays are the same up to rounding.

    Args:
        received: an array.
        expected: another computation of the same numbers.
        terms: as of `rounding`.
        size: likewise; the largest number in `expected` when None.
        layers: likewise.
        dtype: likewise.
    """
    received, expected = np.asarray(received, np.float64), np.asarray(expected, np.float64)
    if size is None:
        size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    bound = rounding(terms, size, layers, dtype)
    np.testing.assert_allclose(received, expected, rtol=0, atol=bound)
