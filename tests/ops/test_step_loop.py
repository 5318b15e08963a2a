"""The loop: by hand, sequences side by side, no steps; a layer on rows."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.ops.step_loop import rowwise, run_steps

N, T, X, Y = 2, 5, 3, 7


def running_sum(state, rows):
    total = state[0] + rows[0]
    return [total], [total]


def test_by_hand():
    (sums,) = run_steps(running_sum, [np.float32([[10.0]])], [np.float32([[[1.0], [2.0], [3.0]]])])
    assert ops.convert_to_numpy(sums).tolist() == [[[11.0], [13.0], [16.0]]]


def test_sequences_keep_their_rows_and_dtypes(rng):
    numbers = ops.convert_to_tensor(rng.normal(size=(N, T, X)).astype("float16"))
    switches = ops.convert_to_tensor(rng.random((N, T, Y)) < 0.5)
    seen = []

    def advance(state, rows):
        seen.append([(tuple(row.shape), keras.backend.standardize_dtype(row.dtype)) for row in rows])
        count = state[0] + 1.0
        return [count], [rows[0], ops.cast(rows[1], "float32"), count]

    outputs = run_steps(advance, [ops.zeros((N, 1))], [numbers, switches])
    assert seen[0] == [((N, X), "float16"), ((N, Y), "bool")]
    expected = [numbers, switches, np.broadcast_to(np.arange(1.0, T + 1)[:, None], (N, T, 1))]
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_several_states_go_on_side_by_side():
    def fibonacci(state, rows):
        before, last = state
        return [last, before + last], [last]

    ones = ops.ones((1, 1))
    (numbers,) = run_steps(fibonacci, [ones, ones], [ops.zeros((1, 7, 1))])
    assert ops.convert_to_numpy(numbers)[0, :, 0].tolist() == [1, 2, 3, 5, 8, 13, 21]


def test_names_of_other_layers_stay_as_they_were():
    before = keras.layers.RNN(keras.layers.GRUCell(3)).name
    run_steps(running_sum, [ops.zeros((1, 1))], [ops.ones((1, 2, 1))])
    after = keras.layers.RNN(keras.layers.GRUCell(3)).name
    numbers = [int("0" + name.rpartition("rnn")[2].strip("_")) for name in (before, after)]
    assert numbers[1] == numbers[0] + 1


@pytest.mark.parametrize("shape", [(X,), (N, X), (N, T, X), (1, N, T, X)])
def test_rowwise_is_the_layer_itself(shape, rng):
    dense = keras.layers.Dense(Y)
    tensor = rng.normal(size=(1, *shape)).astype("float32")
    np.testing.assert_allclose(rowwise(dense, tensor), dense(tensor), rtol=1e-5, atol=1e-6)
