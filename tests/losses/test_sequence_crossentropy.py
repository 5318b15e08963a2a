"""The loss: by hand, against Keras' own, with masks and weights that arrive from outside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.losses import RDropCrossentropy, SequenceCrossentropy
from keras_attn.metrics import Perplexity, TokenAccuracy

B, T, V = 2, 5, 7
LABELS = np.array([[3, 6, 1, 0, 0], [2, 2, 4, 5, 1]])


def test_by_hand():
    # Probabilities 1/4 and 1/2 at the right places; the pad's row would cost infinitely much.
    logits = np.log([[[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [1e-30, 1.0, 1.0]]])
    loss = SequenceCrossentropy()(np.array([[1, 2, 0]]), logits)
    assert float(loss) == pytest.approx((np.log(4) + np.log(2)) / 2, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_equals_keras_on_one_hot_targets(smoothing, rng):
    logits = rng.normal(0, 3, (B, T, V)).astype("float32")
    loss = SequenceCrossentropy(label_smoothing=smoothing)(LABELS, logits)
    keep = LABELS != 0
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = keras_loss(np.eye(V)[LABELS[keep]], logits[keep])
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_equals_that_of_keras(smoothing, rng):
    logits = tf.constant(rng.normal(0, 3, (B, T, V)), tf.float32)
    keep = LABELS != 0
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        loss = SequenceCrossentropy(smoothing)(LABELS, logits)
        expected = keras_loss(np.eye(V)[LABELS[keep]], tf.boolean_mask(logits, keep))
    np.testing.assert_allclose(
        tape.gradient(loss, logits), tape.gradient(expected, logits), rtol=1e-5, atol=1e-7
    )


def test_pads_neither_count_nor_get_gradients(rng):
    logits = tf.constant(rng.normal(size=(B, T, V)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = SequenceCrossentropy(0.1)(LABELS, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[LABELS == 0] == 0).all()
    assert (gradient[LABELS != 0] != 0).all()
    longer = np.pad(LABELS, ((0, 0), (0, 3))), np.pad(logits, ((0, 0), (0, 3), (0, 0)), constant_values=11.0)
    assert float(SequenceCrossentropy(0.1)(*longer)) == pytest.approx(float(loss), rel=1e-6)


def test_another_pad_id(rng):
    logits = rng.normal(size=(B, T, V))
    swapped = logits[..., [1, 0, *range(2, V)]]
    labels = np.where(LABELS < 2, 1 - LABELS, LABELS)
    expected = SequenceCrossentropy()(LABELS, logits)
    assert float(SequenceCrossentropy(pad_id=1)(labels, swapped)) == pytest.approx(float(expected), rel=1e-6)


def test_only_pads_cost_nothing():
    assert float(SequenceCrossentropy()(np.zeros((B, T)), np.ones((B, T, V)))) == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_summed_in_float32(dtype, rng):
    logits = tf.cast(rng.normal(0, 3, (B, T, V)), dtype)
    loss = SequenceCrossentropy(0.1)(LABELS, logits)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(float(SequenceCrossentropy(0.1)(LABELS, tf.cast(logits, tf.float32))))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 unless it is told to")
def test_with_float64_as_keras_default(rng):
    logits = rng.normal(size=(B, T, V)).astype("float32")
    expected = float(SequenceCrossentropy(0.1)(LABELS, logits))
    keras.config.set_floatx("float64")
    try:
        assert float(SequenceCrossentropy(0.1)(LABELS, logits)) == pytest.approx(expected)
    finally:
        keras.config.set_floatx("float32")


def test_huge_logits_stay_finite():
    logits = np.full((1, 1, 3), -1e30)
    logits[0, 0, 1] = 1e30
    assert float(SequenceCrossentropy()(np.array([[1]]), logits)) == 0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_label_too_improbable_for_float32_costs_what_it_should(jit_compile):
    """Beside a likely one: e^-200 is 0 in float32, its logarithm -200 all the same."""
    logits = tf.constant([[[0.0, 200.0, -3.0], [0.0, 0.0, 1.0]]])
    labels = tf.constant([[2, 1]])

    @tf.function(jit_compile=jit_compile)
    def value_and_gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = SequenceCrossentropy()(labels, logits)
        return loss, tape.gradient(loss, logits)

    loss, gradient = value_and_gradient(logits)
    shares = np.exp([0, 0, 1]) / np.exp([0, 0, 1]).sum()
    assert float(loss) == pytest.approx((203 - np.log(shares[1])) / 2, rel=1e-6)
    expected = [[0, 0.5, -0.5], [shares[0] / 2, (shares[1] - 1) / 2, shares[2] / 2]]
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-5, atol=1e-7)


def test_sample_weights_weigh_tokens(rng):
    logits = rng.normal(size=(B, T, V))
    loss = SequenceCrossentropy()
    weights = np.zeros((B, T))
    weights[1, 2] = 8.0  # as many as there are tokens: the mean is this token's own cost
    alone = loss(LABELS[1:, 2:3], logits[1:, 2:3])
    assert float(loss(LABELS, logits, sample_weight=weights)) == pytest.approx(float(alone), rel=1e-6)


def test_sample_weights_of_rows(rng):
    """Not along time, also where there are as many rows as places; and by way of `fit`."""
    logits, weights = rng.normal(size=(B, B, V)), np.array([3.0, 0.5])
    loss, labels = SequenceCrossentropy(), LABELS[:, :B]
    by_token = loss(labels, logits, sample_weight=np.stack([weights] * B, axis=1))
    assert float(by_token) != pytest.approx(float(loss(labels, logits, np.stack([weights] * B))), rel=1e-2)
    for given in (weights, weights[:, None]):
        assert float(loss(labels, logits, sample_weight=given)) == pytest.approx(float(by_token), rel=1e-6)
    model = keras.Sequential([keras.Input((B, V)), keras.layers.Identity()])
    model.compile(loss=loss, jit_compile=False)
    dataset = tf.data.Dataset.from_tensors((logits, labels, weights))
    assert model.evaluate(dataset, verbose=0) == pytest.approx(float(by_token), rel=1e-6)


def test_a_pad_that_is_no_class(rng):
    logits = rng.normal(size=(B, T, V))
    elsewhere = np.where(LABELS == 0, -100, LABELS)
    expected = float(SequenceCrossentropy(0.1)(LABELS, logits))
    assert float(SequenceCrossentropy(0.1, pad_id=-100)(elsewhere, logits)) == pytest.approx(
        expected, rel=1e-6
    )


def test_another_reduction_is_refused():
    with pytest.raises(
        ValueError, match=r"is a mean over tokens. Expected reduction='sum'.* reduction='none'"
    ):
        SequenceCrossentropy(reduction="none")


def test_implicit_mask_of_the_model_leaves_one_scalar(rng):
    """A mask that Keras carries along from an `Embedding` neither changes the loss nor its shape."""
    source = keras.Input((None,), dtype="int32")
    logits = keras.layers.Dense(V)(keras.layers.Embedding(V, 3, mask_zero=True)(source))
    model = keras.Model(source, logits)
    model.compile(loss=SequenceCrossentropy(), jit_compile=False)
    expected = SequenceCrossentropy()(LABELS, model.predict(LABELS, verbose=0))
    assert model.evaluate(LABELS, LABELS, verbose=0) == pytest.approx(float(expected), rel=1e-6)
    assert np.isfinite(model.train_on_batch(LABELS, LABELS))


def test_config_round_trip(rng):
    loss = SequenceCrossentropy(label_smoothing=0.3, pad_id=1, name="cost")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert (again.label_smoothing, again.pad_id, again.name) == (0.3, 1, "cost")
    logits = rng.normal(size=(B, T, V))
    assert float(again(LABELS, logits)) == float(loss(LABELS, logits))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_wrong_label_smoothing(smoothing):
    with pytest.raises(ValueError, match=rf"`label_smoothing` must be in \[0, 1\).*{smoothing}"):
        SequenceCrossentropy(smoothing)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_no_token_has_no_loss_and_counts_in_no_metric(shape):
    labels, logits = np.zeros(shape, "int32"), np.zeros((*shape, 7), "float32")
    for loss in (SequenceCrossentropy(0.1), RDropCrossentropy(1.0)):
        assert float(loss(labels, logits)) == 0.0
    for metric in (TokenAccuracy(), Perplexity()):
        metric.update_state(labels, logits)
        assert np.isfinite(float(metric.result()))
