"""R-Drop's loss against the paper's formula, and what it does to a model."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.losses import RDropCrossentropy, SequenceCrossentropy

B, T, V = 3, 5, 7


@pytest.fixture
def batch(rng):
    labels = rng.integers(4, V, (B, T))
    labels[1, 2:] = labels[2, 4:] = 0
    return np.repeat(labels, 2, axis=0), rng.normal(0, 2, (2 * B, T, V)).astype("float32")


def by_the_paper(labels, logits, alpha):
    """Equations 1 to 3 for each pair and token in turn, halved, without label smoothing."""
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    total, count = 0.0, 0
    for row in range(0, len(labels), 2):
        for place, label in enumerate(labels[row]):
            if not label:
                continue
            p, q = log_probs[row, place], log_probs[row + 1, place]
            divergence = 0.5 * (np.sum(np.exp(p) * (p - q)) + np.sum(np.exp(q) * (q - p)))
            total += 0.5 * (-p[label] - q[label] + alpha * divergence)
            count += 1
    return total / count


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_the_paper_s_formula(batch, alpha):
    expected = by_the_paper(batch[0], batch[1].astype("float64"), alpha)
    np.testing.assert_allclose(RDropCrossentropy(alpha)(*batch), expected, rtol=1e-5)


def gradient_of(loss, labels, logits):
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(lambda logits: loss(labels, logits))(ops.convert_to_tensor(logits))
    import tensorflow as tf

    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits)
    return tape.gradient(value, logits)


def test_the_gradient_of_the_paper_s_formula(batch):
    """Which is written out: held against differences of the formula."""
    labels, logits = batch
    step, expected = 1e-5, np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        both = [logits.astype("float64"), logits.astype("float64")]
        both[0][place] -= step
        both[1][place] += step
        below, above = (by_the_paper(labels, changed, 5.0) for changed in both)
        expected[place] = (above - below) / (2 * step)
    received = gradient_of(RDropCrossentropy(5.0), labels, logits)
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-6)


def test_what_it_adds_to_the_smoothed_cross_entropy(batch):
    """Label smoothing belongs to the cross-entropy alone."""
    plain, smoothed = SequenceCrossentropy()(*batch), SequenceCrossentropy(0.1)(*batch)
    added = RDropCrossentropy(2.0)(*batch) - plain
    assert float(added) > 0.1
    np.testing.assert_allclose(RDropCrossentropy(2.0, 0.1)(*batch) - smoothed, added, rtol=1e-4)


def test_passes_that_agree_and_rows_of_pads_cost_nothing(batch):
    labels, logits = batch
    same = np.repeat(logits[::2], 2, axis=0)
    np.testing.assert_allclose(RDropCrossentropy(5.0)(labels, same), SequenceCrossentropy()(labels, same))
    padded = [np.pad(x, ((0, 2), *[(0, 0)] * (x.ndim - 1))) for x in batch]
    np.testing.assert_allclose(RDropCrossentropy(5.0)(*padded), RDropCrossentropy(5.0)(*batch), rtol=1e-6)
    assert float(RDropCrossentropy(5.0)(labels * 0, logits)) == 0.0


def test_logits_in_lower_precision_and_far_apart(batch):
    labels, logits = batch
    coarse = ops.cast(logits, "bfloat16")
    loss = RDropCrossentropy(1.0)(labels, coarse)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    np.testing.assert_allclose(loss, RDropCrossentropy(1.0)(labels, ops.cast(coarse, "float32")), rtol=1e-6)
    assert np.isfinite(RDropCrossentropy(1.0)(labels, 300 * logits))


def test_configuration():
    loss = RDropCrossentropy(3.0, 0.1, pad_id=2)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is RDropCrossentropy
    assert again.get_config() == loss.get_config()
    with pytest.raises(ValueError, match=r"`alpha` must be at least 0. Received: alpha=-1"):
        RDropCrossentropy(-1)
