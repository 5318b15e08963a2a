"""Token accuracy: by hand, over several batches, saved and loaded."""

import keras
import numpy as np
import pytest

from keras_attn.metrics import TokenAccuracy

V = 5


def logits_of(tokens):
    return 3.0 * np.eye(V, dtype="float32")[np.array(tokens)]


def test_by_hand_over_two_batches():
    metric = TokenAccuracy()
    metric.update_state(np.array([[3, 1, 0]]), logits_of([[3, 2, 0]]))  # one of two; the pad does not count
    assert float(metric.result()) == 0.5
    metric.update_state(np.array([[4], [2], [1]]), logits_of([[4], [2], [1]]))
    assert float(metric.result()) == pytest.approx(4 / 5)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_pad_that_is_predicted_for_a_token_is_wrong():
    metric = TokenAccuracy()
    metric.update_state(np.array([[3, 4, 1]]), logits_of([[0, 4, 0]]))
    assert float(metric.result()) == pytest.approx(1 / 3)


def test_sample_weights():
    metric = TokenAccuracy()
    metric.update_state(np.array([[3, 1]]), logits_of([[3, 2]]), sample_weight=np.array([[3.0, 1.0]]))
    assert float(metric.result()) == 0.75


def test_another_pad_id():
    metric = TokenAccuracy(pad_id=2)
    metric.update_state(np.array([[2, 0, 1]]), logits_of([[2, 0, 3]]))
    assert float(metric.result()) == 0.5


def test_config_round_trip():
    metric = TokenAccuracy(pad_id=3, name="right")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert (again.pad_id, again.name) == (3, "right")
    assert again.get_config() == metric.get_config()
