"""Counts."""

import pytest

from keras_attn.checks.sizes import check_count


def test_a_whole_number_of_at_least_1():
    check_count("units", 1)


@pytest.mark.parametrize("value", [0, -3, 2.0, "7", None, True, (5,)])
def test_anything_else(value):
    with pytest.raises(ValueError, match=r"`units` must be a whole number of at least 1\. Received: units="):
        check_count("units", value)
