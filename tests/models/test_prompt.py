"""Prompts move to the right of their padding, and their weights back to the left."""

import keras
import numpy as np
from keras import ops

from keras_attn.models.prompt import AfterPrompt, PromptedSequence, align_left, align_right, some_places

ELSEWHERE = np.array([[0, 0, 4, 7], [4, 0, 7, 2], [4, 7, 0, 0], [0, 4, 0, 7]], np.int32)  # the padding
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 7], [1, 8], [1, 3]], np.int32)


def test_align_right_by_hand():
    ids, pads = align_right(SOURCE)
    np.testing.assert_array_equal(ids, [[5, 9, 4, 17, 2], [0, 0, 0, 11, 2], [0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(pads, [0, 3, 5])


def test_padding_elsewhere_loses_no_token(rng):
    ids, pads = align_right(ELSEWHERE)
    np.testing.assert_array_equal(ids, [[0, 0, 4, 7], [0, 4, 7, 2], [0, 0, 4, 7], [0, 0, 4, 7]])
    np.testing.assert_array_equal(pads, [2, 1, 2, 2])
    weights = rng.random((4, 3, 4)).astype("float32")
    left = ops.convert_to_numpy(align_left(weights, pads, ELSEWHERE != 0))
    for row, tokens in enumerate(ELSEWHERE != 0):
        np.testing.assert_array_equal(left[row][:, tokens], weights[row][:, int(pads[row]) :])
        assert not left[row][:, ~tokens].any()


def test_align_left_undoes_it(rng):
    weights = rng.random((3, 2, 5)).astype("float32")
    right = np.where(np.arange(5) >= np.array([0, 3, 5])[:, None, None], weights, 0)
    left = ops.convert_to_numpy(align_left(right, np.array([0, 3, 5], np.int32), SOURCE != 0))
    np.testing.assert_array_equal(left[0], weights[0])
    np.testing.assert_array_equal(left[1], np.pad(weights[1, :, 3:], ((0, 0), (0, 3))))
    np.testing.assert_array_equal(left[2], 0 * weights[2])


def test_no_place_becomes_one_and_others_stay():
    np.testing.assert_array_equal(some_places(SOURCE[:, :0]), [[0], [0], [0]])
    np.testing.assert_array_equal(some_places(SOURCE), SOURCE)
    weights = np.ones((3, 2, 1), "float32")
    assert align_left(weights, np.ones(3, np.int32), SOURCE[:, :0] != 0).shape == (3, 2, 0)


def test_one_sequence_by_hand():
    sequence, mask, positions = PromptedSequence()(SOURCE, TARGET)
    np.testing.assert_array_equal(sequence[1], [0, 0, 0, 11, 2, 1, 8])
    np.testing.assert_array_equal(mask[1], [False] * 3 + [True] * 4)
    np.testing.assert_array_equal(positions[1], [0, 0, 0, 0, 1, 2, 3])
    np.testing.assert_array_equal(positions[0], range(7))
    np.testing.assert_array_equal(
        AfterPrompt()(ops.expand_dims(sequence, -1), SOURCE, TARGET)[..., 0], TARGET
    )


def test_symbolic_shapes_are_those_of_the_numbers():
    for lengths in ((5, 2), (None, 2), (None, None)):
        source, target = (keras.Input((length,), dtype="int32") for length in lengths)
        joined = PromptedSequence()(source, target)
        total = None if None in lengths else sum(lengths)
        assert [x.shape for x in joined] == [(None, total)] * 3
        hidden = keras.KerasTensor((None, total, 11))
        assert AfterPrompt()(hidden, source, target).shape == (None, lengths[1], 11)
        model = keras.Model([source, target], joined)
        for symbol, numbers in zip(joined, model([SOURCE, TARGET]), strict=True):
            assert numbers.shape == (3, 7)
            assert keras.backend.standardize_dtype(numbers.dtype) == symbol.dtype
