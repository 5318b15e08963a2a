"""What the bound of rounding must not hide: each mistake is made in a model, and the check finds it.

The right answer comes from a full pass, the other one step by step: two computations of the same numbers.
"""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export.service.service import Service
from keras_attn.export.verification.backends import EagerBackend
from keras_attn.export.verification.checks import check_backends
from keras_attn.export.verification.requests import questions
from keras_attn.export.verification.tolerance import tolerance_of
from keras_attn.models import (
    ConvolutionalSeq2Seq,
    RecurrentSeq2Seq,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)

from ...few import few

TEXTS = [text.encode() for text in ("ein Hund", "", "Grüße", "x")]
TARGETS = [text.encode() for text in ("세계", "Hund", "3", "ein")]
MAX_LENGTH = 13
MODELS = {
    "recurrent": lambda size: RecurrentSeq2Seq(size, size, embedding_dim=17, units=13, attention_units=11),
    "convolutional": lambda size: ConvolutionalSeq2Seq(
        size, size, embedding_dim=17, encoder_convolutions=[(13, 3)], decoder_convolutions=[(13, 3)]
    ),
    "transformer": lambda size: TransformerSeq2Seq(
        size,
        size,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=12,
        num_heads=3,
        hidden_dim=17,
        dropout=0.0,
    ),
    "language_model": lambda size: TransformerLanguageModel(
        size, num_layers=1, embedding_dim=12, num_heads=3, hidden_dim=17, dropout=0.0
    ),
    "deep": lambda size: TransformerLanguageModel(
        size, num_layers=12, embedding_dim=12, num_heads=3, hidden_dim=17, dropout=0.0
    ),
}


class Steps:
    """A model that is asked step by step; `change` has a mistake in it, or none."""

    def __init__(self, model, seen=lambda memory: memory, offset=0):
        self._model, self._seen, self._offset = model, seen, offset

    def start(self, source):
        state, memory = self._model.start(source)
        return state, self._seen(memory)

    def step(self, tokens, position, state, memory):
        return self._model.step(tokens, position + self._offset, state, memory)


@pytest.fixture(scope="module", params=few(MODELS, *(name for name in MODELS if name != "deep")))
def asked(request, tokenizers):
    """A model that has seen some batches, and `problems(model)`: what the check says of another one."""
    keras.utils.set_random_seed(7)
    tokenizer = tokenizers.characters
    model = MODELS[request.param](tokenizer.vocabulary_size)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    for _ in range(3):
        learn(model, optimizer)
    right = TextToText(model, tokenizer, tokenizer, max_length=MAX_LENGTH)
    requests = {"score": questions(TEXTS, TARGETS, (tokenizer, tokenizer), MAX_LENGTH)["score"]}
    first, tolerance = EagerBackend(Service(right)), tolerance_of(right, TEXTS)

    def problems(wrong):
        way = EagerBackend(Service(TextToText(wrong, tokenizer, tokenizer, max_length=MAX_LENGTH)))
        (check,) = check_backends([first, way], requests, [list(range(len(TEXTS)))], tolerance)[1:]
        return check.problems

    def copy():
        other = MODELS[request.param](tokenizer.vocabulary_size)
        other.set_weights(model.get_weights())
        return other

    return SimpleNamespace(name=request.param, model=model, copy=copy, optimizer=optimizer, problems=problems)


def learn(model, optimizer):
    """One step on a batch that is the same each time."""
    rng = np.random.default_rng(3)
    source, target, labels = rng.integers(4, 40, (3, 5, 7)).astype("int32")
    with tf.GradientTape() as tape:
        logits = model({"source": source, "target": target})
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def test_a_model_without_a_mistake_is_the_same(asked):
    assert asked.problems(Steps(asked.model)) == ()


def test_a_mask_that_hides_nothing(asked):
    def all_seen(memory):
        return memory | {key: tf.ones_like(memory[key]) for key in ("mask", "prompt_mask") if key in memory}

    assert any("token_log_probs" in problem for problem in asked.problems(Steps(asked.model, all_seen)))


def test_positions_that_are_off_by_one(asked):
    if asked.name == "recurrent":
        assert asked.problems(Steps(asked.model, offset=1)) == ()  # it has no positions
    else:
        assert any("token_log_probs" in problem for problem in asked.problems(Steps(asked.model, offset=1)))


def test_weights_of_one_step_of_training_later(asked):
    later = asked.copy()
    learn(later, keras.optimizers.Adam(1e-3))
    assert any("token_log_probs" in problem for problem in asked.problems(Steps(later)))


def test_two_heads_that_are_swapped(asked):
    swapped = asked.copy()
    kernels = [w for w in swapped.weights if w.path.endswith("self_attention/query/kernel")]
    if not kernels:
        pytest.skip("its attention has one head")
    first, second, third = np.split(kernels[-1].numpy(), 3, axis=-1)
    kernels[-1].assign(np.concatenate([second, first, third], axis=-1))
    assert any("token_log_probs" in problem for problem in asked.problems(Steps(swapped)))
