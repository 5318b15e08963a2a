"""A score function, a strategy, a processor and a length penalty that a user writes, decoded and exported."""

from collections import namedtuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_attn import TextToText
from keras_attn.decoding import BeamSearch, decode
from keras_attn.decoding.results import Selected, count_to_end
from keras_attn.export import export_saved_model, verify
from keras_attn.export.verification.backends import SessionBackend
from keras_attn.layers import StepAttention
from keras_attn.models import RecurrentSeq2Seq

from ..bounds import assert_close

TEXTS = ["ein Hund", "안녕하세요", "10 Schritte", ""]
MAX_LENGTH = 7


@keras.saving.register_keras_serializable(package="own")
class NearestAttention(StepAttention):
    """The weights are a softmax of negative squared distances."""

    def project_memory(self, key):
        return key

    def logits(self, query, projected_key, state):
        return -ops.sum((query[:, :, None] - projected_key[:, None]) ** 2, axis=-1)


Written = namedtuple("Written", "tokens log_probs")


class SecondThenBest:
    """The second most probable token at first, then the most probable one."""

    num_live = 1

    def begin(self, task, source_length, keep_slots):
        return Written(tf.zeros([task.batch, 1, 0], tf.int32), tf.zeros([task.batch, 1]))

    def advance(self, hypotheses, choices, alignment, position, task):
        ranked, ids = tf.math.top_k(tf.nn.log_softmax(choices.free_logits), 2)
        rank = tf.cast(tf.equal(position, 0), tf.int32)
        over = self._over(hypotheses, position, task)
        tokens = tf.where(over, 0, ids[..., rank])
        log_probs = hypotheses.log_probs + tf.where(over, 0.0, ranked[..., rank])
        return (
            Written(tf.concat([hypotheses.tokens, tokens[..., None]], axis=2), log_probs),
            tokens,
            None,
        )

    def is_done(self, hypotheses, position, task):
        return tf.reduce_all(self._over(hypotheses, position, task))

    def select(self, hypotheses, task):
        tokens, log_probs = hypotheses
        lengths = tf.minimum(count_to_end(tokens, task.end_id), tf.reshape(task.limits, [-1, 1]))
        return Selected(tokens, lengths, log_probs, log_probs, lengths > 0, None)

    def _over(self, hypotheses, position, task):
        has_ended = tf.reduce_any(tf.equal(hypotheses.tokens, task.end_id), axis=-1)
        return has_ended | tf.reshape(task.at_limit(position), [-1, 1])


class Colder:
    """Halves all logits."""

    def adjust(self, logits, partial):
        return logits / 2


class LinearLengthPenalty:
    """1 + strength * length."""

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, length, ended=True):
        return 1.0 + tf.reshape(self.strength, [-1, 1]) * length

    def with_strength(self, strength):
        return LinearLengthPenalty(strength)


@pytest.fixture
def make(tokenizers, rng):
    tokenizer = tokenizers.characters
    size = tokenizer.vocabulary_size
    model = RecurrentSeq2Seq(
        size, size, embedding_dim=5, units=6, attention=NearestAttention(), bidirectional=False
    )
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 1.3, weight.shape))

    def text_to_text(**options):
        return TextToText(model, tokenizer, tokenizer, max_length=MAX_LENGTH, max_source_length=23, **options)

    return text_to_text


def test_a_score_function_a_strategy_and_a_processor_of_ones_own(make, few_signatures, tmp_path):
    own = make(strategy=SecondThenBest(), processors=[Colder()])
    source = own.source_ids(tf.constant(TEXTS))
    state, memory = own.model.start(source)
    step = own.model.step(tf.ones([len(TEXTS), 1], tf.int32), 0, state, memory)
    assert_close(tf.reduce_sum(step.alignment, axis=-1), 1, 23)
    decoded = own.decoded(source)
    second = tf.math.top_k(step.logits[:, 0], 2).indices[:, 1]
    np.testing.assert_array_equal(decoded.tokens[:, 0, 0], second)
    hotter = decode(own.model, source, start_id=1, end_id=2, max_length=MAX_LENGTH, strategy=SecondThenBest())
    assert (np.abs(hotter.log_probs - decoded.log_probs) > 0.1).any()
    with few_signatures("serving_default", "stream", "stream_events"):  # asked while they are exported
        path = export_saved_model(own, tmp_path / "own")
    report = verify(path, own, texts=TEXTS)
    assert report.passed, str(report)
    assert "same   Session " in str(report)
    assert report.skipped == ("REST and gRPC: no server was given; `keras-attn verify` starts one",)


def test_a_length_penalty_of_ones_own(make, few_signatures, tmp_path):
    own = make(strategy=BeamSearch(3, length_penalty=LinearLengthPenalty(0.5)))
    with few_signatures("n_best"):
        path = export_saved_model(own, tmp_path / "own", num_hypotheses=2)
    session = SessionBackend(path)
    strengths = np.array([0.0, 0.25, 2.0, 0.5], np.float32)
    answer = session.ask("n_best", {"text": TEXTS, "length_penalty": strengths})
    session.close()
    assert (answer["length"][:3] > 0).all()
    divisor = 1 + strengths[:, None] * answer["length"]
    assert_close(answer["score"] * divisor, answer["log_prob"], 23)
