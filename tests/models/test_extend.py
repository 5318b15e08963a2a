"""Several tokens in one pass of a Transformer: the same as one step after the other, and as the full pass."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.models import TransformerLanguageModel, TransformerSeq2Seq

from ..few import few

SIZE, PAST, NEW = 11, 2, 3
SOURCE = np.array([[5, 3, 9, 2, 4, 6, 2], [7, 2, 0, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 9, 4, 4, 7], [1, 6, 8, 3, 10]], np.int32)
B, T = TARGET.shape
SIZES = {"embedding_dim": 12, "num_heads": 2, "hidden_dim": 13}
POSITIONS = ["sinusoidal", "learned", "shaw", "t5", "alibi", "rotary", None]


def seq2seq(**settings):
    return TransformerSeq2Seq(SIZE, SIZE, num_encoder_layers=1, num_decoder_layers=2, **{**SIZES, **settings})


def language_model(**settings):
    return TransformerLanguageModel(SIZE, num_layers=2, **{**SIZES, **settings})


CASES = {
    **{f"seq2seq {positions}": (seq2seq, {"positions": positions}) for positions in POSITIONS},
    **{f"language model {positions}": (language_model, {"positions": positions}) for positions in POSITIONS},
    "seq2seq pre-norm": (seq2seq, {"norm_first": True, "share_embeddings": "target"}),
    "seq2seq grouped": (seq2seq, {"embedding_dim": 16, "num_heads": 4, "num_key_value_heads": 2}),
    "seq2seq windowed": (seq2seq, {"implementation": "windowed", "window": 2, "positions": "t5"}),
    "seq2seq alignment": (seq2seq, {"alignment_layer": 0, "alignment_heads": [1]}),
    "language model grouped": (language_model, {"num_key_value_heads": 1}),
    "language model windowed": (language_model, {"implementation": "windowed", "window": 3}),
    "language model alignment": (language_model, {"alignment_layer": 0, "alignment_heads": [1]}),
}


# All schemes of positions on one side or the other, and all that goes another way through the layers.
FEW = (
    "language model None",
    "language model alibi",
    "language model learned",
    "seq2seq alignment",
    "seq2seq grouped",
    "seq2seq pre-norm",
    "seq2seq rotary",
    "seq2seq shaw",
    "seq2seq windowed",
)


@pytest.fixture(params=few(CASES, *FEW), name="model")
def model_fixture(request, rng):
    make, settings = CASES[request.param]
    return make(**settings)


def by_steps(model, state, memory, start, tokens):
    """The n `Step`s of tokens `[B, n]`."""
    steps = []
    for place in range(tokens.shape[1]):
        steps.append(model.step(tokens[:, place : place + 1], start + place, state, memory))
        state = steps[-1].state
    return steps


def test_one_pass_is_steps_and_a_rewound_state_is_as_if_nothing_had_followed(model):
    state, memory = model.start(SOURCE)
    past = by_steps(model, state, memory, 0, TARGET[:, :PAST])[-1].state
    steps = by_steps(model, past, memory, PAST, TARGET[:, PAST:])
    extension = model.extend(TARGET[:, None, PAST:], PAST, past, memory)
    assert extension.logits.shape == (B, 1, NEW, SIZE)
    for name in ("logits", "alignment"):
        expected = np.stack([getattr(step, name) for step in steps], 2)
        np.testing.assert_allclose(getattr(extension, name), expected, rtol=1e-4, atol=1e-5)
    for count in (0, 2, NEW):
        expected = [past, *(step.state for step in steps)][count]
        rewound = model.rewind(extension.extended, count)
        tf.nest.assert_same_structure(rewound, expected)
        for one, other in zip(tf.nest.flatten(rewound), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [seq2seq, language_model])
def test_several_hypotheses(make, rng):
    """K hypotheses that share one memory are K rows with a copy of it each."""
    model, hypotheses = make(positions="rotary"), 3
    tokens = rng.integers(3, SIZE, (B, hypotheses, NEW))
    state, memory = model.start(SOURCE)
    state = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, hypotheses, axis=1), state)
    together = model.extend(tokens, 0, state, memory)
    alone = model.extend(
        tokens.reshape(B * hypotheses, 1, NEW), 0, *model.start(SOURCE.repeat(hypotheses, 0))
    )
    for name in ("logits", "alignment"):
        one, other = getattr(together, name), getattr(alone, name)
        np.testing.assert_allclose(np.reshape(one, other.shape), other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [seq2seq, language_model])
def test_the_whole_target_in_one_pass_is_the_full_pass(make):
    model = make()
    extension = model.extend(TARGET[:, None], 0, *model.start(SOURCE))
    expected = model({"source": SOURCE, "target": TARGET})
    np.testing.assert_allclose(extension.logits[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_table_of_positions_says_where_it_ends():
    model = seq2seq(positions="learned", position_options={"max_length": 7})
    state, memory = model.start(SOURCE)
    with pytest.raises(ValueError, match=r"Expected positions from 0 to 6\. Received: length 8 from"):
        model.extend(np.pad(TARGET, ((0, 0), (0, 3)), "edge")[:, None], 0, state, memory)
