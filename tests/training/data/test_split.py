"""Holding pairs out: sizes, groups that stay together, and what is refused."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.training.data.split import split_pairs
from keras_attn.training.data.text_files import DataError

DISTINCT = [(f"s{index}", f"t{index}") for index in range(101)]


@pytest.mark.parametrize(("validation", "test", "sizes"), [(7, 13, [81, 7, 13]), (0.1, 0, [91, 10, 0])])
def test_sizes_are_counts_or_fractions(validation, test, sizes):
    split = split_pairs(DISTINCT, validation, test)
    assert [len(part) for part in split] == sizes
    assert sorted(chain(*split), key=DISTINCT.index) == DISTINCT
    assert all(part == sorted(part, key=DISTINCT.index) for part in split)


def test_a_small_fraction_is_not_nothing():
    assert len(split_pairs(DISTINCT[:5], 0.01, 0.01).test) == 1


def test_split_depends_on_the_seed_alone():
    assert split_pairs(DISTINCT, 7, 13, seed=5) == split_pairs(DISTINCT, 7, 13, seed=5)
    assert split_pairs(DISTINCT, 7, 13, seed=5) != split_pairs(DISTINCT, 7, 13, seed=6)


short = st.text("가나다라", min_size=1, max_size=3)


@given(st.lists(st.tuples(short, short), min_size=11, max_size=47), st.integers(0, 97))
def test_parts_share_no_text(pairs, seed):
    try:
        split = split_pairs(pairs, 2, 3, seed)
    except DataError:
        return  # everything hangs together: nothing can be held out
    for side in (0, 1):
        train, validation, test = ({pair[side] for pair in part} for part in split)
        assert not train & validation
        assert not train & test
        assert not validation & test
    assert sorted(chain(*split)) == sorted(pairs)
    assert len(split.validation) <= 2
    assert len(split.test) <= 3


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1.0, 0), "`validation_size` must be .* Received: 1.0"),
        ((0, -1), "`test_size` must be .* Received: -1"),
        ((True, 0), "`validation_size` must be .* Received: True"),
        ((50, 51), "leave nothing to train with. Expected fewer than 101 .* Received: 50 and 51"),
        ((0.1, 0.1, 2.0), "`seed` must be an integer. Received: 2.0"),
    ],
)
def test_split_refuses(sizes, message):
    with pytest.raises(DataError, match=message):
        split_pairs(DISTINCT, *sizes)


def test_split_refuses_one_large_group():
    pairs = [("same source", f"t{index}") for index in range(7)]
    with pytest.raises(
        DataError, match=r"`validation_size` cannot be held out.* at least 7 pairs. Received: 3"
    ):
        split_pairs(pairs, 3, 2)
