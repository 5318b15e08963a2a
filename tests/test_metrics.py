"""Token accuracy and perplexity: by hand, over several batches, saved and loaded."""

import keras
import numpy as np
import pytest

from keras_attn.metrics import Perplexity, TokenAccuracy

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


def test_equally_probable_tokens_are_all_right():
    metric = TokenAccuracy()
    metric.update_state(np.array([[1, 2, 3]]), np.array([[[0, 5, 5, 1, 1]] * 3], "float32"))
    assert float(metric.result()) == pytest.approx(2 / 3)


def test_sample_weights():
    metric = TokenAccuracy()
    metric.update_state(np.array([[3, 1]]), logits_of([[3, 2]]), sample_weight=np.array([[3.0, 1.0]]))
    assert float(metric.result()) == 0.75


@pytest.mark.parametrize("metric", [TokenAccuracy, Perplexity])
def test_sample_weights_of_rows(metric):
    """As `fit` hands them over: not along time, also where there are as many rows as places."""
    labels, logits = np.array([[3, 1], [2, 4]]), logits_of([[3, 2], [4, 0]])
    by_row, by_token = metric(), metric()
    by_row.update_state(labels, logits, sample_weight=np.array([1.0, 0.5]))
    by_token.update_state(labels, logits, sample_weight=np.array([[1.0, 1.0], [0.5, 0.5]]))
    assert float(by_row.result()) == float(by_token.result())
    by_row.update_state(labels[:1], logits[:1], sample_weight=np.array([2.0]))
    if metric is TokenAccuracy:
        assert float(by_row.result()) == pytest.approx((1 + 2) / (2 + 1 + 4))


def test_another_pad_id():
    metric = TokenAccuracy(pad_id=2)
    metric.update_state(np.array([[2, 0, 1]]), logits_of([[2, 0, 3]]))
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("metric", [TokenAccuracy, Perplexity])
def test_a_pad_that_is_no_class(metric):
    labels, logits = np.array([[3, 1, 0]]), logits_of([[3, 2, 4]])
    there, here = metric(pad_id=-100), metric()
    there.update_state(np.where(labels == 0, -100, labels), logits)
    here.update_state(labels, logits)
    assert float(there.result()) == float(here.result())


def test_config_round_trip():
    metric = TokenAccuracy(pad_id=3, name="right")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert (again.pad_id, again.name) == (3, "right")
    assert again.get_config() == metric.get_config()


def test_perplexity_is_that_of_the_corpus_however_it_is_cut(rng):
    """exp over all tokens; the mean of the batches' perplexities is another number."""
    logits = rng.normal(0, 3, (7, 11, V)).astype("float32")
    labels = rng.integers(0, V, (7, 11))
    log_probs = logits - np.log(np.exp(logits.astype("float64")).sum(axis=-1, keepdims=True))
    right = np.take_along_axis(log_probs, labels[..., None], axis=-1)[..., 0]
    expected = np.exp(-right[labels != 0].mean())
    for cuts in ([], [3], [1, 2, 6]):
        metric, parts = Perplexity(), []
        for rows in np.split(np.arange(7), cuts):
            metric.update_state(labels[rows], logits[rows])
            parts.append(np.exp(-right[rows][labels[rows] != 0].mean()))
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    assert np.mean(parts) != pytest.approx(expected, rel=1e-2)


def test_perplexity_by_hand():
    metric = Perplexity(pad_id=4)
    assert float(metric.result()) == 1
    probabilities = np.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]], "float32")
    metric.update_state(np.array([[0, 1, 2]]), np.log(probabilities))
    assert float(metric.result()) == pytest.approx((0.5 * 0.1 * 0.6) ** (-1 / 3), rel=1e-5)
    metric.reset_state()
    weights = np.array([[2.0, 0.0, 1.0]])
    metric.update_state(np.array([[0, 1, 2]]), np.log(probabilities), sample_weight=weights)
    assert float(metric.result()) == pytest.approx((0.5**2 * 0.6) ** (-1 / 3), rel=1e-5)


def test_perplexity_of_low_precision_logits_is_float32():
    metric = Perplexity()
    metric.update_state(np.array([[1]]), keras.ops.cast([[[0.0, 0.0, 0.0, 0.0]]], "bfloat16"))
    assert float(metric.result()) == pytest.approx(4)


def test_perplexity_config_round_trip():
    metric = Perplexity(pad_id=3, name="ppl")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert (again.pad_id, again.name) == (3, "ppl")
