"""A toy decoder whose answers can be worked out by hand or by trying everything."""

import pytest
import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.task import Task
from keras_attn.protocols import Step


class Remembering:
    """The row's first source id picks a table; all that was fed, as one number, its row and a source place.

    So the state matters to the logits, and every hypothesis has alignments of its own: a search that mixes
    hypotheses up is found out. With drift the logits also change from step to step, so that no two
    hypotheses are equally probable.
    """

    def __init__(self, tables, drift=1.0):
        self.tables = tf.constant(tables, tf.float32)  # [N, R, V]
        self.drift = drift

    def start(self, source):
        return {"fed": tf.zeros([tf.shape(source)[0], 1, 1], tf.int32)}, {"source": source}

    def step(self, tokens, position, state, memory):
        source = memory["source"]
        fed = (3 * state["fed"] + tokens[..., None]) % 97  # [B, K, 1]
        tables = tf.gather(self.tables, source[:, 0])  # [B, R, V]
        _, num_rows, size = self.tables.shape
        logits = tf.gather(tables, fed[..., 0] % num_rows, axis=1, batch_dims=1)  # [B, K, V]
        logits += self.drift * tf.cos(tf.cast(position, tf.float32) * tf.range(1.0, size + 1))
        width = tf.shape(source)[1]
        return Step(logits, {"fed": fed}, tf.one_hot(fed[..., 0] % width, width))


@pytest.fixture(scope="session")
def remembering():
    return Remembering


@pytest.fixture(scope="session", name="partial")
def partial_fixture():
    """`partial(tokens [B, K, t], vocabulary_size)`: what processors are given; the end token is 2."""

    def partial(tokens, vocabulary_size, source_mask=None):
        tokens = tf.constant(tokens, tf.int32)
        batch, _, length = tokens.shape
        mask = tf.ones([batch, 3], tf.bool) if source_mask is None else tf.constant(source_mask)
        task = Task(2, tf.constant(99), mask, tf.constant(batch))
        return Partial(tokens, tf.constant(length), vocabulary_size, task)

    return partial
