"""The conditions of a decode: source lengths, limits, settings of rows."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding.task import Task, make_task, per_row


def task(limits):
    mask = tf.constant([[True, True, False], [False, True, True], [False] * 3])  # pads on either side
    return Task(2, tf.constant(limits), mask, tf.constant(3))


def test_source_lengths_leave_pads_out():
    assert task(7).source_lengths().numpy().tolist() == [2, 2, 0]


def test_limits():
    assert task(7).has_row_limits is False
    assert [bool(task(7).at_limit(tf.constant(length))) for length in (6, 7, 8)] == [False, True, True]
    assert task([5, 6, 7]).has_row_limits is True
    assert task([5, 6, 7]).at_limit(tf.constant(6)).numpy().tolist() == [True, True, False]


def test_a_setting_is_one_number_or_one_of_every_row():
    assert per_row(3, 2).shape == ()
    assert per_row(3, 2).dtype == tf.float32
    assert per_row(2**40, 2, tf.int64).numpy() == 2**40
    assert per_row(np.array([1, 2, 3]), 4, tf.int32).shape == (3, 1, 1, 1)
    assert per_row(tf.constant([1.5, 2.5]), 2, tf.int32).numpy().tolist() == [[1], [2]]


def test_a_limit_below_0_is_0():
    source = tf.constant([[5, 2, 0], [5, 6, 2]])
    assert make_task(source, 2, -3, 0).limits.numpy() == 0
    assert make_task(source, 2, lambda lengths: lengths - 3, 0).limits.numpy().tolist() == [0, 0]
