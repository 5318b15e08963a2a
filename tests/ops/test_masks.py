"""Masks: each kind alone, all combinations, and the causal one aligned to the end."""

from itertools import product

import numpy as np
import pytest

from keras_attn.ops.masks import causal_mask, combine_masks, seen_queries, seen_under_padding

B, T, S = 2, 3, 5
KINDS = ("query_mask", "value_mask", "key_mask", "attention_mask", "use_causal_mask")


def oracle(masks):
    keep = np.ones((B, T, S), bool)
    for b, t, s in np.ndindex(keep.shape):
        keep[b, t, s] = (
            masks.get("query_mask", np.ones((B, T)))[b, t]
            and masks.get("value_mask", np.ones((B, S)))[b, s]
            and masks.get("key_mask", np.ones((B, S)))[b, s]
            and masks.get("attention_mask", np.ones((B, T, S)))[b, t, s]
            and (not masks.get("use_causal_mask") or s - (S - 1) <= t - (T - 1))
        )
    return keep


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=5)))
def test_every_combination(chosen, rng):
    everything = {
        "query_mask": rng.random((B, T)) < 0.7,
        "value_mask": rng.random((B, S)) < 0.7,
        "key_mask": rng.random((B, S)) < 0.7,
        "attention_mask": rng.random((B, T, S)) < 0.7,
        "use_causal_mask": True,
    }
    masks = {kind: everything[kind] for kind, used in zip(KINDS, chosen, strict=True) if used}
    keep = combine_masks(np.zeros((B, T, 7)), np.zeros((B, S, 11)), **masks)
    if not masks:
        assert keep is None
    else:
        np.testing.assert_array_equal(np.broadcast_to(keep, (B, T, S)), oracle(masks))


@pytest.mark.parametrize("shape", [(T, S), (1, T, S), (B, 1, S), (B, T, 1)])
def test_attention_mask_broadcasts(shape, rng):
    mask = rng.random(shape) < 0.5
    keep = combine_masks(np.zeros((B, T, 7)), np.zeros((B, S, 7)), attention_mask=mask, use_causal_mask=True)
    expected = np.broadcast_to(mask, (B, T, S)) & np.tri(T, S, S - T, dtype=bool)
    np.testing.assert_array_equal(np.broadcast_to(keep, (B, T, S)), expected)


def test_integer_masks_count_as_boolean():
    keep = combine_masks(np.zeros((1, 1, 2)), np.zeros((1, 3, 2)), value_mask=np.array([[1, 0, 5]]))
    assert np.asarray(keep).tolist() == [[[True, False, True]]]


def test_causal_mask_by_hand():
    assert np.asarray(causal_mask(2, 3)).astype(int).tolist() == [[[1, 1, 0], [1, 1, 1]]]


def test_causal_lets_one_query_see_the_whole_cache():
    assert np.asarray(causal_mask(1, 7)).all()


def test_causal_with_more_queries_than_keys_leaves_the_first_rows_empty():
    keep = np.asarray(causal_mask(5, 3))[0]
    assert keep.astype(int).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_causal_with_sizes_known_only_at_run_time():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, None, 7]), tf.TensorSpec([None, None, 7])])
    def keep(query, key):
        return combine_masks(query, key, use_causal_mask=True)

    np.testing.assert_array_equal(
        keep(tf.zeros([B, T, 7]), tf.zeros([B, S, 7]))[0], np.tri(T, S, S - T, dtype=bool)
    )


def test_seen_queries_by_hand():
    keep = np.array([[[[True, False], [False, False]]]])
    assert np.asarray(seen_queries(keep)).tolist() == [[[[True], [False]]]]
    assert seen_queries(None) is None


@pytest.mark.parametrize("sizes", [(T, S), (S, T)])
@pytest.mark.parametrize("chosen", list(product([False, True], repeat=3)))
def test_seen_under_padding_is_seen_in_the_whole_mask(sizes, chosen, rng):
    num_queries, num_keys = sizes
    for _ in range(7):
        masks = {
            "query_mask": rng.random((B, num_queries)) < 0.6,
            "key_mask": rng.random((B, num_keys)) < 0.3,
            "use_causal_mask": True,
        }
        masks = {name: mask for (name, mask), used in zip(masks.items(), chosen, strict=True) if used}
        keep = combine_masks(np.zeros((B, num_queries)), np.zeros((B, num_keys)), **masks)
        expected = np.ones((B, num_queries, 1), bool) if keep is None else np.asarray(keep).any(-1)[..., None]
        seen = seen_under_padding(num_queries, num_keys, **masks)
        seen = np.ones((1, 1, 1, 1), bool) if seen is None else np.asarray(seen)
        shape = (B, num_queries, 1)
        np.testing.assert_array_equal(np.broadcast_to(seen[:, 0], shape), np.broadcast_to(expected, shape))
