"""Every family learns to copy and to reverse, and decodes what it learned on strings that it never saw."""

import keras
import numpy as np
import pytest

from keras_attn.decoding import decode
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

DIGITS, COPY, REVERSE, V = range(4, 14), 14, 15, 16
BATCH_SIZE, NUM_BATCHES = 32, 400
TRANSFORMER = {"embedding_dim": 64, "num_heads": 4, "hidden_dim": 128, "dropout": 0.0}

# The model, its learning rate, epochs, and the longest string: one vector cannot hold much.
FAMILIES = {
    "recurrent": (lambda: RecurrentSeq2Seq(V, V, embedding_dim=16, units=64, attention_units=32), 0.01, 1, 6),
    "recurrent_without_attention": (
        lambda: RecurrentSeq2Seq(V, V, embedding_dim=32, units=128, attention=None),
        0.005,
        2,
        4,
    ),
    "convolutional": (
        lambda: ConvolutionalSeq2Seq(
            V, V, embedding_dim=64, encoder_convolutions=[(64, 3)] * 2, decoder_convolutions=[(64, 3)] * 2
        ),
        0.003,
        1,
        6,
    ),
    "transformer": (
        lambda: TransformerSeq2Seq(V, V, num_encoder_layers=2, num_decoder_layers=2, **TRANSFORMER),
        0.003,
        1,
        6,
    ),
    "language_model": (lambda: TransformerLanguageModel(V, num_layers=2, **TRANSFORMER), 0.003, 2, 6),
    "scheduled_sampling": (
        lambda: ScheduledSampling(
            ConvolutionalSeq2Seq(
                V, V, embedding_dim=64, encoder_convolutions=[(64, 3)] * 2, decoder_convolutions=[(64, 3)] * 2
            ),
            TeacherForcingSchedule("linear", k=1.0, slope=0.001, minimum=0.5),
        ),
        0.003,
        1,
        6,
    ),
}


def examples(rng, count, longest, unlike=()):
    """Random strings of digits behind the token of their task, and what is to become of them."""
    known, strings = set(unlike), []
    while len(strings) < count:
        string = (int(rng.choice([COPY, REVERSE])), *rng.choice(DIGITS, rng.integers(3, longest + 1)))
        if string not in known:
            strings.append(string)
    source = np.zeros((count, longest + 2), np.int32)
    target, labels = np.zeros((2, count, longest + 1), np.int32)
    for row, (task, *digits) in enumerate(strings):
        answer = digits if task == COPY else digits[::-1]
        source[row, : len(digits) + 2] = [task, *digits, 2]
        target[row, : len(digits) + 1] = [1, *answer]
        labels[row, : len(digits) + 1] = [*answer, 2]
    return strings, {"source": source, "target": target}, labels


def fit(model, inputs, labels, learning_rate, epochs):
    steps = epochs * NUM_BATCHES
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - steps // 10, warmup_target=learning_rate, warmup_steps=steps // 10
    )
    adam = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    adam.build(model.trainable_variables)  # else TensorFlow traces the step twice
    model.compile(adam, SequenceCrossentropy(), jit_compile=False)
    model.fit(inputs, labels, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


@pytest.mark.parametrize("family", few(FAMILIES, "convolutional"))
def test_learns_to_copy_and_to_reverse(rng, family):
    make, learning_rate, epochs, longest = FAMILIES[family]
    model = make()
    seen, inputs, labels = examples(rng, BATCH_SIZE * NUM_BATCHES, longest)
    fit(model, inputs, labels, learning_rate, epochs)
    _, inputs, labels = examples(rng, 509, longest, unlike=seen)
    tokens = (
        decode(model, inputs["source"], start_id=1, end_id=2, max_length=longest + 1).tokens[:, 0].numpy()
    )
    tokens = np.pad(tokens, ((0, 0), (0, longest + 1 - tokens.shape[1])))
    assert (tokens == labels).all(axis=1).mean() > 0.99
