"""Words are hidden at the given rate, repeatably, and never what marks the sequence."""

import numpy as np
import pytest

from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.word_dropout import WordDropout

rng = np.random.default_rng(3)
IDS = [rng.integers(4, 97, 53) for _ in range(71)]
TARGETS = [rng.integers(4, 97, 47) for _ in range(71)]
UNKNOWN = 3


def batches(source_rate, target_rate):
    return WordDropout(Batches(IDS, TARGETS, 31, seed=5), source_rate, target_rate, seed=5)


def test_rates():
    (inputs, labels), plain = batches(0.3, 0.1)[0], Batches(IDS, TARGETS, 31, seed=5)[0]
    np.testing.assert_array_equal(labels, plain[1])
    for name, rate in (("source", 0.3), ("target", 0.1)):
        words = plain[0][name] > UNKNOWN
        dropped = inputs[name][words] == UNKNOWN
        assert dropped.mean() == pytest.approx(rate, abs=0.03)
        kept = inputs[name] != UNKNOWN
        np.testing.assert_array_equal(inputs[name][kept], plain[0][name][kept])
        np.testing.assert_array_equal(inputs[name][~words], plain[0][name][~words])
        assert inputs[name].dtype == np.int32


def test_a_rate_of_zero_drops_nothing():
    inputs, _ = batches(0.0, 1.0)[1]
    plain, _ = Batches(IDS, TARGETS, 31, seed=5)[1]
    np.testing.assert_array_equal(inputs["source"], plain["source"])
    assert set(inputs["target"][:, 1:48].ravel()) == {UNKNOWN}


def test_seed_epoch_and_batch_decide():
    one, other = batches(0.3, 0.3), batches(0.3, 0.3)
    other.begin_epoch(1)
    assert not np.array_equal(one[1][0]["source"] == UNKNOWN, other[1][0]["source"] == UNKNOWN)
    other.begin_epoch(0, first_batch=1)
    np.testing.assert_array_equal(one[1][0]["source"], other[1][0]["source"])
    (inputs, _), *_ = other.dataset().as_numpy_iterator()
    np.testing.assert_array_equal(inputs["target"], one[1][0]["target"])
