"""Batches: every pair once an epoch, an order that can be repeated, and where start, end and pads stand."""

from collections import Counter

import keras
import numpy as np
import pytest

from keras_attn.training.batches.batches import Batches, FewShapesBatches

COUNT, SIZE = 1009, 11  # three pools of 352, the last one short, and a last batch of 8


def pairs(count=COUNT):
    """Pair i is `[4 + i, ...]` twice, of lengths that vary; the target is one longer now and then."""
    random = np.random.default_rng(5)
    sources = [np.full(random.integers(1, 8), 4 + i, np.int32) for i in range(count)]
    targets = [np.full(random.integers(1, 8), 4 + i, np.int32) for i in range(count)]
    return sources, targets


def make(*arguments, seed=None, epoch=0):
    batches = Batches(*arguments, seed=seed)
    batches.begin_epoch(epoch)
    return batches


def batches_of(batches):
    return [batches[index] for index in range(len(batches))]


def epoch_of(batches):
    """The pairs of an epoch, in order."""
    return [int(row[0]) - 4 for inputs, _ in batches_of(batches) for row in inputs["source"]]


def assert_same_epoch(one, other):
    for (inputs, labels), (other_inputs, other_labels) in zip(
        batches_of(one), batches_of(other), strict=True
    ):
        np.testing.assert_array_equal(inputs["source"], other_inputs["source"])
        np.testing.assert_array_equal(inputs["target"], other_inputs["target"])
        np.testing.assert_array_equal(labels, other_labels)


def test_a_batch_by_hand():
    sources = [np.array([5, 6, 7], np.int32), np.array([8], np.int32)]
    targets = [np.array([9], np.int32), np.array([10, 11], np.int32)]
    inputs, labels = Batches(sources, targets, 3)[0]
    assert inputs["source"].tolist() == [[5, 6, 7, 2], [8, 2, 0, 0]]
    assert inputs["target"].tolist() == [[1, 9, 0], [1, 10, 11]]
    assert labels.tolist() == [[9, 2, 0], [10, 11, 2]]
    assert {array.dtype for array in (*inputs.values(), labels)} == {np.dtype("int32")}


def test_an_empty_side_is_its_end_token():
    empty = [np.array([], np.int32)]
    inputs, labels = Batches(empty, empty, 2)[0]
    assert (inputs["source"].tolist(), inputs["target"].tolist(), labels.tolist()) == ([[2]], [[1]], [[2]])


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_every_pair_comes_once_an_epoch(seed):
    batches = Batches(*pairs(), SIZE, seed=seed)
    for epoch in range(3):
        batches.begin_epoch(epoch)
        assert Counter(epoch_of(batches)) == Counter(range(COUNT))


def test_rows_stay_aligned():
    sources, targets = pairs()
    for inputs, labels in batches_of(Batches(sources, targets, SIZE, seed=3)):
        for source, target, label in zip(inputs["source"], inputs["target"], labels, strict=True):
            index = source[0] - 4
            np.testing.assert_array_equal(source[source > 2], sources[index])
            np.testing.assert_array_equal(label[label > 2], targets[index])
            ended = len(targets[index])
            np.testing.assert_array_equal(target[1:], np.where(label[:-1] == 2, 0, label[:-1]))
            assert (target[0], label[ended]) == (1, 2)
            assert (label[ended + 1 :] == 0).all()


def test_without_a_seed_the_order_stays():
    batches = Batches(*pairs(), SIZE)
    assert epoch_of(batches) == list(range(COUNT))
    batches.begin_epoch(1)
    assert epoch_of(batches) == list(range(COUNT))


def test_the_order_depends_on_seed_and_epoch_alone():
    assert_same_epoch(make(*pairs(), SIZE, seed=7), Batches(*pairs(), SIZE, seed=7))
    everything = [make(*pairs(), SIZE, seed=seed, epoch=epoch) for seed in (7, 8) for epoch in (0, 1)]
    assert len({tuple(epoch_of(batches)) for batches in everything}) == 4


def test_pairs_of_equal_length_keep_the_order_they_were_drawn_in():
    """Other ways to sort break ties by what the processor can do."""
    rows = [np.zeros(3 + index % 2, np.int32) for index in range(500)]
    drawn = np.random.default_rng((7, 0)).permutation(500)
    expected = sorted(drawn.tolist(), key=lambda index: index % 2)
    batches = Batches(rows, rows, 50, seed=7)
    found = sorted(tuple(batches.members(index)) for index in range(len(batches)))
    assert found == sorted(tuple(expected[begin : begin + 50]) for begin in range(0, 500, 50))


def test_a_resumed_epoch_equals_that_of_an_unbroken_run():
    unbroken = Batches(*pairs(), SIZE, seed=7)
    for epoch in range(4):
        unbroken.begin_epoch(epoch)
        assert_same_epoch(unbroken, make(*pairs(), SIZE, seed=7, epoch=epoch))


@pytest.mark.parametrize(("count", "size", "expected"), [(22, 11, 2), (23, 11, 3), (1, 11, 1), (13, 1, 13)])
def test_the_number_of_batches_is_constant(count, size, expected):
    batches = Batches(*pairs(count), size, seed=7)
    for epoch in range(3):
        batches.begin_epoch(epoch)
        assert len(batches) == len(batches_of(batches)) == expected
        assert {len(labels) for _, labels in batches_of(batches)} <= {size, count % size}


def test_pairs_of_similar_length_meet():
    """Less than a tenth of the padding of a random order, where both sides of a pair are equally long."""
    sources, _ = pairs()

    def pads(batches):
        return sum(
            (inputs["source"] == 0).sum() + (labels == 0).sum() for inputs, labels in batches_of(batches)
        )

    assert pads(Batches(sources, sources, SIZE, seed=7)) < pads(Batches(sources, sources, SIZE)) / 10


def test_sides_of_different_length():
    sources, targets = pairs(7)
    with pytest.raises(ValueError, match="zip"):
        Batches(sources, targets[:-1], 3)


def test_few_shapes_where_every_shape_is_compiled():
    rows = pairs()
    batches, plain = FewShapesBatches(*rows, SIZE, seed=7), Batches(*rows, SIZE, seed=7)
    for index in range(len(plain)):
        (inputs, labels), (narrow, narrow_labels) = batches[index], plain[index]
        wide = inputs["source"].shape[1], labels.shape[1]
        assert wide == tuple(-(-x.shape[1] // 8) * 8 for x in (narrow["source"], narrow_labels))
        np.testing.assert_array_equal(labels[:, : narrow_labels.shape[1]], narrow_labels)
        assert not labels[:, narrow_labels.shape[1] :].any()


def test_a_dataset_holds_the_present_epoch_each_time_it_is_iterated():
    batches = Batches(*pairs(29), SIZE, seed=7)
    dataset = batches.dataset()
    assert int(dataset.cardinality()) == 3
    for epoch in (0, 1, 0):
        batches.begin_epoch(epoch)
        seen = [(inputs["source"].numpy(), labels.numpy()) for inputs, labels in dataset]
        expected = [(inputs["source"], labels) for inputs, labels in batches_of(batches)]
        for one, other in zip(seen, expected, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


def test_a_dataset_whose_first_batches_are_equally_long():
    """Keras would take that length for fixed."""
    rows = [np.full(length, 5, np.int32) for length in (3, 3, 3, 3, 7, 7)]
    dataset = Batches(rows, rows, 2).dataset()
    assert [labels.shape[1] for _, labels in dataset] == [4, 4, 8]
    assert keras.tree.flatten(dataset.element_spec)[0].shape.as_list() == [None, None]


def test_fit_sees_the_epochs_in_order():
    seen = []

    class Spy(keras.Model):
        def train_step(self, data):
            seen.append(data[0]["source"].numpy())
            return {"loss": 0.0}

    batches = Batches(*pairs(29), SIZE, seed=7)
    model = Spy()
    model.compile(run_eagerly=True)
    begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.begin_epoch(epoch))
    model.fit(batches.dataset(), epochs=3, shuffle=False, verbose=0, callbacks=[begin])
    epochs = [make(*pairs(29), SIZE, seed=7, epoch=epoch) for epoch in range(3)]
    expected = [inputs["source"] for batches in epochs for inputs, _ in batches_of(batches)]
    for one, other in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(one, other)
