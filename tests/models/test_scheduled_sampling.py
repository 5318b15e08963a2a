"""ScheduledSampling: what is fed in both modes, its distribution, gradients, fit, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import (
    ConvolutionalSeq2Seq,
    RecurrentSeq2Seq,
    ScheduledSampling,
    TeacherForcingSchedule,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)

from ..few import few

V = 23
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4], [1, 10, 3, 3, 22], [1, 21, 4, 0, 0]], np.int32)
INPUTS = {"source": SOURCE, "target": TARGET}
NEVER_TRUE = TeacherForcingSchedule("inverse_sigmoid", k=1.0)  # after many steps
LATE = 1_000_000

FAMILIES = {
    "recurrent": lambda: RecurrentSeq2Seq(V, V, embedding_dim=5, units=7, attention_units=3),
    "recurrent_deep": lambda: RecurrentSeq2Seq(
        V, V, embedding_dim=5, units=7, cell="lstm", num_decoder_layers=2, attention=None
    ),
    "recurrent_dropout": lambda: RecurrentSeq2Seq(
        V, V, embedding_dim=5, units=7, attention_units=3, dropout=0.3, num_decoder_layers=2
    ),
    "convolutional": lambda: ConvolutionalSeq2Seq(
        V, V, embedding_dim=5, encoder_convolutions=[(7, 3)], decoder_convolutions=[(7, 3)]
    ),
    "transformer": lambda: TransformerSeq2Seq(
        V,
        V,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=6,
        num_heads=2,
        hidden_dim=11,
        dropout=0.0,
    ),
    "language_model": lambda: TransformerLanguageModel(
        V, num_layers=1, embedding_dim=6, num_heads=2, hidden_dim=11, dropout=0.0
    ),
}
EVERY_FAMILY = pytest.mark.parametrize(
    "family",
    few([name for name in FAMILIES if name != "recurrent_dropout"], "convolutional", "language_model"),
)


def make(rng, family="recurrent"):
    model = FAMILIES[family]()
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


def wrapped(model, step=LATE, schedule=NEVER_TRUE, **settings):
    wrapper = ScheduledSampling(model, schedule, **settings)
    wrapper.steps.assign(step)
    return wrapper


def with_guesses(target, guesses):
    """The target with what was guessed for every place but the first and the pads."""
    fed = np.concatenate([target[:, :1], guesses[:, :-1]], axis=1)
    return np.where(target == 0, target, fed)


@EVERY_FAMILY
def test_is_the_model_outside_training(rng, family):
    model = make(rng, family)
    wrapper = wrapped(model)
    np.testing.assert_array_equal(wrapper(INPUTS), model(INPUTS))
    assert int(wrapper.steps) == LATE
    state, memory = wrapper.start(SOURCE)
    expected = model.step(TARGET[:, :1], 0, *model.start(SOURCE)).logits
    np.testing.assert_array_equal(wrapper.step(TARGET[:, :1], 0, state, memory).logits, expected)


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
def test_feeds_the_truth_at_first(rng, mode):
    model = make(rng)
    wrapper = wrapped(model, 0, TeacherForcingSchedule("linear", k=1.0, slope=1e-9), mode=mode)
    np.testing.assert_allclose(wrapper(INPUTS, training=True), model(INPUTS), rtol=1e-4, atol=1e-5)
    assert int(wrapper.steps) == 1


@EVERY_FAMILY
def test_in_parallel_the_guesses_come_from_a_pass_over_the_truth(rng, family):
    model = make(rng, family)
    guesses = np.argmax(model(INPUTS), axis=-1)
    expected = model({"source": SOURCE, "target": with_guesses(TARGET, guesses)})
    received = wrapped(model, choice="argmax")(INPUTS, training=True)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(received, model(INPUTS))


@pytest.mark.parametrize("family", few(["recurrent", "recurrent_deep"], "recurrent_deep"))
def test_one_by_one_each_guess_follows_from_the_one_before(rng, family):
    """Whatever is fed is what greedy decoding would have fed, up to the pads."""
    model = make(rng, family)
    target = np.where(TARGET == 0, 9, TARGET)
    fed, (state, memory), expected = target[:, :1], model.start(SOURCE), []
    for position in range(target.shape[1]):
        step = model.step(fed, position, state, memory)
        fed, state = np.argmax(step.logits, axis=-1), step.state
        expected.append(step.logits[:, 0].numpy())
    wrapper = wrapped(model, mode="sequential", choice="argmax")
    received = wrapper({"source": SOURCE, "target": target}, training=True)
    np.testing.assert_allclose(received, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_one_by_one_pads_are_fed_as_they_are(rng):
    model = make(rng)
    wrapper = wrapped(model, mode="sequential", choice="argmax")
    received = wrapper(INPUTS, training=True).numpy()
    guesses = np.argmax(received, axis=-1)
    expected = model({"source": SOURCE, "target": with_guesses(TARGET, guesses)})
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_guesses_are_as_probable_as_the_model_says(rng):
    """10,007 draws of one distribution: within 5 standard deviations of its probabilities."""
    wrapper = wrapped(make(rng))
    logits = rng.normal(size=V).astype("float32")
    draws = rng.uniform(size=(1, 10_007)).astype("float32")
    chosen = wrapper._guess(tf.tile(logits[None, None], (1, 10_007, 1)), tf.constant(draws)).numpy()
    expected = np.exp(logits) / np.exp(logits).sum()
    share = np.bincount(chosen[0], minlength=V) / 10_007
    assert (np.abs(share - expected) < 5 * np.sqrt(expected / 10_007)).all()
    assert wrapper._guess(tf.constant(logits)[None], tf.constant([1.0])).numpy() == [V - 1]


def test_as_many_places_are_true_as_the_schedule_says(rng):
    """A model that shows what it is fed: of 10,000 places 30 % keep the truth."""
    identity = keras.Model(
        entries := {name: keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")},
        keras.ops.one_hot(entries["target"], V),
    )
    schedule = TeacherForcingSchedule("linear", k=0.3, slope=1e-9)
    wrapper = ScheduledSampling(identity, schedule, choice="argmax", seed=5)
    target = np.tile(np.arange(1, 21), (509, 1)).astype("int32")
    logits = wrapper({"source": target, "target": target}, training=True)
    fed = np.argmax(logits, axis=-1)  # the truth, or the token before: what this model predicts
    assert (fed[:, 0] == 1).all()
    true = fed[:, 1:] == target[:, 1:]
    np.testing.assert_array_equal(fed[:, 1:][~true], target[:, :-1][~true])
    assert abs(true.mean() - 0.3) < 0.02


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
def test_no_gradient_flows_through_what_is_fed(rng, mode):
    """The gradient is that of the logits of the mixed input, taken as given."""
    model = make(rng)
    wrapper = wrapped(model, mode=mode, choice="argmax")
    with tf.GradientTape() as tape:
        received = tf.reduce_sum(tf.square(wrapper(INPUTS, training=True)))
    gradients = tape.gradient(received, model.trainable_weights)
    logits = wrapper(INPUTS, training=True) if mode == "sequential" else model(INPUTS)
    mixed = {"source": SOURCE, "target": with_guesses(TARGET, np.argmax(logits, axis=-1))}
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(tf.square(model(mixed)))
    for one, other in zip(gradients, tape.gradient(expected, model.trainable_weights), strict=True):
        one, other = (tf.convert_to_tensor(x).numpy() for x in (one, other))
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())


@pytest.mark.parametrize(
    ("family", "mode"),
    few(
        [("convolutional", "parallel"), ("recurrent_dropout", "sequential")],
        ("convolutional", "parallel"),
    ),
)
def test_fit_counts_steps_and_trains_the_model(rng, family, mode):
    model = make(rng, family)
    before = model.get_weights()
    wrapper = wrapped(model, 0, TeacherForcingSchedule("linear", k=1.0, slope=0.4), mode=mode)
    adam = keras.optimizers.Adam(0.01)
    adam.build(wrapper.trainable_variables)  # else TensorFlow traces the step twice
    wrapper.compile(adam, SequenceCrossentropy(), jit_compile=False)
    labels = np.roll(TARGET, -1, axis=1)
    losses = wrapper.fit(INPUTS, labels, epochs=3, verbose=0, shuffle=False).history["loss"]
    assert int(wrapper.steps) == 3
    assert losses[-1] < losses[0]
    for one, other in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(one, other)


def test_saves_itself_and_the_model(rng, tmp_path):
    model = make(rng)
    wrapper = wrapped(
        model, 17, TeacherForcingSchedule("linear", k=0.9, slope=0.01), mode="sequential", seed=3
    )
    wrapper.save(tmp_path / "wrapper.keras")
    again = keras.models.load_model(tmp_path / "wrapper.keras")
    assert int(again.steps) == 17
    assert again.get_config() == wrapper.get_config()
    np.testing.assert_array_equal(again(INPUTS), wrapper(INPUTS))
    again.model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(INPUTS), model(INPUTS))


def test_what_is_refused(rng):
    model = make(rng)
    with pytest.raises(ValueError, match=r"`mode` is unknown. Expected one of .* Received: mode='both'"):
        ScheduledSampling(model, NEVER_TRUE, mode="both")
    with pytest.raises(ValueError, match=r"`choice` is unknown. Expected one of .* Received: choice='beam'"):
        ScheduledSampling(model, NEVER_TRUE, choice="beam")
    transformer = make(rng, "transformer")
    with pytest.raises(ValueError, match=r"mode='sequential' needs .* Received: Transformer.*parallel"):
        ScheduledSampling(transformer, NEVER_TRUE, mode="sequential")


def test_what_is_refused_on_jax(monkeypatch):
    class Dropping(RecurrentSeq2Seq):
        def get_config(self):
            return {"dropout": 0.5}

    model = Dropping(V, V, embedding_dim=5, units=7)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"cannot drop out on JAX. Expected .* Received: dropout=0.5"):
        ScheduledSampling(model, NEVER_TRUE, mode="sequential")
