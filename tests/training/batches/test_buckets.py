"""Buckets: little padding in a given number of shapes, held against every way to cut by brute force."""

from itertools import product

import numpy as np
import pytest

from keras_attn.training.batches.buckets import plan_buckets


def places(buckets):
    return sum(len(bucket.members) * sum(bucket.widths) for bucket in buckets)


def plan(widths, batch_tokens=1, max_buckets=2, least_batches=1):
    return plan_buckets(np.array(widths), batch_tokens, max_buckets, least_batches)


def test_by_hand():
    buckets = plan([[2, 3], [9, 8], [3, 3], [9, 9]])
    assert [(bucket.widths, bucket.members.tolist()) for bucket in buckets] == [
        ((3, 3), [0, 2]),
        ((9, 9), [1, 3]),
    ]


def test_one_bucket_where_nothing_is_saved():
    (bucket,) = plan([[5, 3]] * 7, max_buckets=11)
    assert (bucket.widths, len(bucket.members)) == ((5, 3), 7)


def test_the_target_side_is_cut_too():
    assert [bucket.widths for bucket in plan([[5, 2], [5, 13], [5, 3]])] == [(5, 3), (5, 13)]


def test_the_best_single_cut_is_found(rng):
    for _ in range(11):
        widths = rng.integers(1, 17, (23, 2))
        halves = []
        for side, limit in product((0, 1), range(1, 17)):
            low = widths[:, side] <= limit
            if 0 < low.sum() < 23:
                halves.append(sum(len(half) * half.max(0).sum() for half in (widths[low], widths[~low])))
        assert places(plan(widths)) == min(halves)


def test_every_pair_is_in_one_bucket_that_holds_it(rng):
    widths = rng.integers(1, 31, (499, 2))
    buckets = plan(widths, max_buckets=13)
    assert len(buckets) == 13
    assert sorted(np.concatenate([bucket.members for bucket in buckets])) == list(range(499))
    for bucket in buckets:
        assert tuple(widths[bucket.members].max(axis=0)) == bucket.widths
    assert [sum(bucket.widths) for bucket in buckets] == sorted(sum(bucket.widths) for bucket in buckets)


def test_more_buckets_never_pad_more(rng):
    widths = rng.integers(1, 31, (211, 2))
    counted = [places(plan(widths, max_buckets=count)) for count in (1, 2, 3, 5, 7, 11)]
    assert counted == sorted(counted, reverse=True)
    assert counted[0] == 211 * widths.max(axis=0).sum()


def test_a_bucket_fills_its_batches(rng):
    widths = rng.integers(1, 31, (997, 2))
    for bucket in plan(widths, batch_tokens=101, max_buckets=97, least_batches=5):
        assert len(bucket.members) * max(bucket.widths) >= 5 * 101


@pytest.mark.parametrize(("tokens", "rows"), [(17, 3), (15, 3), (14, 2), (3, 1)])
def test_rows_of_a_batch(tokens, rows):
    assert plan([[5, 3]])[0].max_rows(tokens) == rows
