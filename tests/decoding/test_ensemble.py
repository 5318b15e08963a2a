"""Several decoders as one: by hand, in NumPy, and in every strategy's loop."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Ensemble, Greedy, decode
from keras_attn.models import ConvolutionalSeq2Seq

START, END = 1, 2
SOURCE = np.array([[1, 9, 9], [3, 9, 0], [2, 9, 9]], np.int32)


@pytest.fixture(name="decoders")
def decoders_fixture(remembering, rng):
    return [remembering(rng.normal(0, 1.3, (4, 11, 7)), drift=float(x)) for x in range(3)]


def first_step(decoder):
    state, memory = decoder.start(tf.constant(SOURCE))
    return decoder.step(tf.fill([3, 1], START), tf.constant(0), state, memory)


def test_by_hand(remembering):
    tables = [np.full((2, 11, 3), np.log(p)) for p in ([0.5, 0.3, 0.2], [0.1, 0.6, 0.3])]
    decoders = [remembering(table, drift=0.0) for table in tables]
    source = SOURCE[:1]

    def shares(average):
        state, memory = Ensemble(decoders, average=average).start(source)
        step = Ensemble(decoders, average=average).step(tf.fill([1, 1], START), tf.constant(0), state, memory)
        return tf.nn.softmax(step.logits)[0, 0]

    np.testing.assert_allclose(shares("probabilities"), [0.3, 0.45, 0.25], rtol=1e-5)
    geometric = np.sqrt([0.05, 0.18, 0.06])
    np.testing.assert_allclose(shares("log_probs"), geometric / geometric.sum(), rtol=1e-5)


@pytest.mark.parametrize("average", ["probabilities", "log_probs"])
def test_against_numpy(decoders, average):
    steps = [first_step(decoder) for decoder in decoders]
    log_probs = np.stack([tf.nn.log_softmax(step.logits) for step in steps])
    mean = np.log(np.exp(log_probs).mean(axis=0)) if average == "probabilities" else log_probs.mean(axis=0)
    together = first_step(Ensemble(decoders, average=average))
    assert together.logits.dtype == tf.float32
    np.testing.assert_allclose(
        tf.nn.log_softmax(together.logits), tf.nn.log_softmax(mean.astype(np.float32)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(together.alignment, np.mean([x.alignment for x in steps], axis=0), rtol=1e-6)


@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(3, 2)])
@pytest.mark.parametrize("average", ["probabilities", "log_probs"])
def test_the_same_decoder_twice_is_that_decoder(decoders, strategy, average):
    twice = Ensemble([decoders[1]] * 2, average=average)
    one, other = (
        decode(
            decoder,
            SOURCE,
            start_id=START,
            end_id=END,
            max_length=7,
            strategy=strategy,
            return_alignments=True,
        )
        for decoder in (decoders[1], twice)
    )
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_members_of_different_kinds_decode_together(decoders, tiny_model):
    model = tiny_model(7)
    assert len(tf.nest.flatten(model.start(SOURCE % 7)[0])) == 1
    decoded = decode(
        Ensemble([*decoders, model]),
        SOURCE % 7,
        start_id=START,
        end_id=END,
        max_length=5,
        strategy=BeamSearch(3, 3),
    )
    assert np.isfinite(decoded.scores).all()


def test_no_member():
    with pytest.raises(ValueError, match=r"`decoders` is empty. Expected at least one decoder"):
        Ensemble([])


def test_an_unknown_average(decoders):
    with pytest.raises(ValueError, match=r"`average` is unknown. Expected one of .*Received: 'mean'"):
        Ensemble(decoders, average="mean")


def test_lengths_that_all_members_have_places_for(remembering, rng):
    table = rng.normal(size=(2, 3, 5))
    sizes = {"embedding_dim": 4, "encoder_convolutions": [(4, 3)], "decoder_convolutions": [(4, 3)]}
    short, shorter = (
        ConvolutionalSeq2Seq(7, 5, **sizes, max_source_length=source, max_target_length=target)
        for source, target in ((9, 7), (8, 11))
    )
    together = Ensemble([remembering(table), short, shorter])
    assert together.fitting_lengths(100, 100) == (7, 7)
    assert together.fitting_lengths(3, 5) == (3, 5)
    assert Ensemble([remembering(table)]).fitting_lengths(100, 99) == (100, 99)
