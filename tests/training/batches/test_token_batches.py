"""Batches by tokens: every pair once an epoch, few shapes that stay, no batch above the limit, resumable."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.token_batches import TokenBatches

COUNT, TOKENS = 2003, 211


def pairs(count=COUNT):
    """Pair i is `[4 + i, ...]` on both sides; the target is a little longer or shorter than the source."""
    random = np.random.default_rng(5)
    lengths = np.maximum(1, random.poisson(11, count))
    others = np.maximum(1, lengths + random.integers(-3, 5, count))
    rows = [[np.full(n, 4 + i, np.int32) for i, n in enumerate(side)] for side in (lengths, others)]
    return rows[0], rows[1]


def batches_of(batches):
    return [batches[index] for index in range(len(batches))]


def epoch_of(batches):
    return [int(row[0]) - 4 for inputs, _ in batches_of(batches) for row in inputs["source"]]


def shapes_of(batches):
    return [(*inputs["source"].shape, labels.shape[1]) for inputs, labels in batches_of(batches)]


@pytest.fixture(scope="module")
def shuffled():
    """The batches, left at epoch 0 by each test."""
    return TokenBatches(*pairs(), TOKENS, seed=7)


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_every_pair_comes_once_an_epoch_and_no_batch_is_too_large(seed):
    batches = TokenBatches(*pairs(), TOKENS, seed=seed)
    for epoch in range(3):
        batches.begin_epoch(epoch)
        assert Counter(epoch_of(batches)) == Counter(range(COUNT))
        assert max(rows * max(widths) for rows, *widths in shapes_of(batches)) <= TOKENS


def test_rows_are_those_of_batches_by_number(shuffled):
    """The same pair gives the same row, but for pads at its end."""
    expected = {}
    for inputs, labels in batches_of(Batches(*pairs(), 13)):
        for rows in zip(inputs["source"], inputs["target"], labels, strict=True):
            expected[rows[0][0]] = [row[row > 0].tolist() for row in rows]
    for inputs, labels in batches_of(shuffled):
        for rows in zip(inputs["source"], inputs["target"], labels, strict=True):
            assert [row[row > 0].tolist() for row in rows] == expected[rows[0][0]]
            assert not any((row[: (row > 0).sum()] == 0).any() for row in rows)


def test_the_shapes_are_few_and_the_same_in_every_epoch(shuffled):
    counted = []
    for epoch in (0, 1, 5):
        shuffled.begin_epoch(epoch)
        counted.append(Counter(shapes_of(shuffled)))
        assert shuffled.shapes == sorted(counted[-1])
    shuffled.begin_epoch(0)
    assert counted[0] == counted[1] == counted[2]
    assert 5 < len(counted[0]) <= 24 + 5


def test_fewer_buckets_are_fewer_shapes_and_more_padding():
    many, few = (TokenBatches(*pairs(), TOKENS, seed=7, max_buckets=count) for count in (13, 3))
    assert len(few.shapes) <= 4 < len(many.shapes)
    assert few.padding > many.padding


def test_padding_is_counted(shuffled):
    places = pads = 0
    for inputs, labels in batches_of(shuffled):
        places += inputs["source"].size + labels.size
        pads += (inputs["source"] == 0).sum() + (labels == 0).sum()
    assert shuffled.padding == pytest.approx(pads / places)
    one = TokenBatches(*pairs(), TOKENS, seed=7, max_buckets=1)
    assert shuffled.padding < one.padding / 3


def test_a_summary_by_hand():
    rows = [np.full(length, 5, np.int32) for length in (1, 4, 1, 2, 1)]
    batches = TokenBatches(rows, rows, 6, max_buckets=2)
    assert shapes_of(batches) == [(3, 2, 2), (1, 5, 5), (1, 5, 5)]
    assert batches.summary() == "3 batches an epoch in 2 shapes, 12.5% padding"


def test_what_equal_batches_leave_over_moves_up():
    """Of 7 short pairs in batches of at most 3, one joins the long pair."""
    rows = [np.full(length, 5 + i, np.int32) for i, length in enumerate((1, 1, 1, 1, 1, 1, 1, 5))]
    batches = TokenBatches(rows, rows, 6, max_buckets=2)
    assert Counter(shapes_of(batches)) == {(2, 2, 2): 3, (1, 6, 6): 2}


def test_pairs_meet_others_in_another_epoch(shuffled):
    """No two batches of the next epoch hold mostly the same pairs."""

    def sets(epoch):
        shuffled.begin_epoch(epoch)
        return [set(inputs["source"][:, 0].tolist()) for inputs, _ in batches_of(shuffled)]

    first, second = sets(0), sets(1)
    shuffled.begin_epoch(0)
    large = [batch for batch in first if len(batch) > 7]
    assert large
    assert all(len(batch & other) < 0.7 * len(batch) for batch in large for other in second)


def test_lengths_are_mixed_over_an_epoch(shuffled):
    """No run of batches is of short pairs alone: each tenth has about the mean width."""
    widths = np.array([shape[1] for shape in shapes_of(shuffled)])
    tenths = [part.mean() for part in np.array_split(widths, 10)]
    assert max(tenths) < 1.5 * min(tenths)


def test_the_order_depends_on_seed_and_epoch_alone(shuffled):
    shuffled.begin_epoch(3)
    other = TokenBatches(*pairs(), TOKENS, seed=7)
    other.begin_epoch(1)
    assert epoch_of(other) != epoch_of(shuffled)
    other.begin_epoch(3)
    assert epoch_of(other) == epoch_of(shuffled)
    assert epoch_of(TokenBatches(*pairs(), TOKENS, seed=8)) != epoch_of(
        TokenBatches(*pairs(), TOKENS, seed=7)
    )
    shuffled.begin_epoch(0)


@pytest.mark.parametrize(
    "make", [lambda: TokenBatches(*pairs(53), 61, seed=7), lambda: Batches(*pairs(53), 7, 7)]
)
def test_an_epoch_resumed_at_a_later_batch(make, monkeypatch):
    batches = make()
    batches.begin_epoch(2)
    expected = batches_of(batches)
    resumed = make()
    made = []
    unpatched = type(batches).__getitem__
    monkeypatch.setattr(
        type(batches), "__getitem__", lambda self, index: (made.append(index), unpatched(self, index))[1]
    )
    resumed.begin_epoch(2, first_batch=3)
    dataset = resumed.dataset()
    assert int(dataset.cardinality()) == len(expected) - 3
    for (inputs, labels), (other_inputs, other_labels) in zip(dataset, expected[3:], strict=True):
        np.testing.assert_array_equal(inputs["source"], other_inputs["source"])
        np.testing.assert_array_equal(inputs["target"], other_inputs["target"])
        np.testing.assert_array_equal(labels, other_labels)
    assert made == list(range(3, len(expected)))  # nothing that came before was made
    resumed.begin_epoch(3)
    assert len(list(resumed.dataset())) == len(resumed)


def test_a_pair_longer_than_the_limit_is_a_batch_of_its_own():
    rows = [np.full(length, 5, np.int32) for length in (2, 40, 3)]
    assert (1, 41, 41) in shapes_of(TokenBatches(rows, rows, 17))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_pairs(count):
    batches = TokenBatches(*pairs(count), TOKENS, seed=7)
    assert sorted(epoch_of(batches)) == list(range(count))


@pytest.mark.exhaustive
def test_a_recipe_may_ask_for_them(quick_recipe_of, training, tmp_path):
    """With words, whose vocabulary is the tokenizer's file."""
    options = {"tokenizer__kind": "words", "tokenizer__minimum_count": 2, "training__batch_tokens": 19}
    lines = []
    run, history = training(quick_recipe_of(training__epochs=1, **options), tmp_path / "run", lines.append)
    (line,) = (line for line in lines if "shapes" in line)
    assert re.fullmatch(r"\d+ batches an epoch in \d shapes, .*% padding; validation: .*% padding", line)
    assert np.isfinite(history[0]["val_loss"])
    vocabulary = json.loads((run.path / "vocabulary.json").read_text())
    assert vocabulary["source"]["kind"] == "words"
    assert vocabulary["source"]["tokens_per_word"] == 1
    assert vocabulary["source"]["unknown_rate"] > 0  # the numbers come once each
    assert len(run.text_to_text()(["rot blau 3", ""])) == 2
