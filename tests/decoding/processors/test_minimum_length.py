"""No end before its time: by hand and in the loop."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Greedy, MinimumLength, RelativeLength, Sampling, decode

END = 2
SOURCE = np.array([[1, 9, 9, 9], [3, 9, 0, 0], [2, 9, 9, 0]], np.int32)


@pytest.mark.parametrize(("written", "forbidden"), [(0, True), (3, True), (4, False), (7, False)])
def test_by_hand(partial, written, forbidden):
    """A fifth token may be the end."""
    received = MinimumLength(5).forbid(partial(np.full((1, 1, written), 3), 4))
    assert received.numpy().tolist() == [[[False, False, forbidden, False]]]


def test_a_length_for_every_row(partial):
    received = MinimumLength(tf.constant([4, 3])).forbid(partial(np.full((2, 5, 2), 3), 4))
    assert received.shape == (2, 1, 4)
    assert received[:, 0, END].numpy().tolist() == [True, False]


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 3), Sampling(seed=3)])
@pytest.mark.parametrize("minimum", [1, 4, np.array([2, 5, 3], np.int32), RelativeLength(1, 1)])
def test_no_hypothesis_is_shorter(remembering, rng, strategy, minimum):
    tables = rng.normal(size=(4, 11, 7)) + 15.0 * np.eye(7)[END]
    processors = [MinimumLength(tf.constant(minimum) if isinstance(minimum, np.ndarray) else minimum)]
    decoded = decode(
        remembering(tables),
        SOURCE,
        start_id=1,
        end_id=END,
        max_length=9,
        strategy=strategy,
        processors=processors,
    )
    expected = np.array([5, 3, 4]) if callable(minimum) else np.broadcast_to(minimum, 3)
    assert (decoded.lengths.numpy() >= expected[:, None]).all()
    assert decoded.lengths[:, 0].numpy().tolist() == expected.tolist()  # the end is likely, once it may come


def test_a_minimum_above_the_limit_leaves_all_unfinished(remembering, rng):
    decoder = remembering(rng.normal(size=(4, 11, 7)))
    decoded = decode(
        decoder,
        SOURCE,
        start_id=1,
        end_id=END,
        max_length=4,
        strategy=BeamSearch(3, 2),
        processors=[MinimumLength(5)],
    )
    assert not decoded.finished.numpy().any()
    assert (decoded.lengths.numpy() == 4).all()
