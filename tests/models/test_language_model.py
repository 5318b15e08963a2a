"""TransformerLanguageModel: prompt and continuation as one sequence, in every setting."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode

from .. import bounds
from ..few import few
from ..lazily import Lazily
from ..model_rows import ROWS, TARGET, TERMS, B, S, T, make

SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)
KINDS = [name.partition("/")[2] for name in ROWS if name.startswith("language_model")]


@pytest.fixture(scope="module")
def models():
    """By what follows the slash in the name of a row."""
    return Lazily(lambda kind: make(f"language_model/{kind}".rstrip("/")))


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS["language_model"])


@pytest.mark.parametrize(
    "kind", few(KINDS, "post_norm", "learned", "shaw", "rotary", "no_positions", "windowed", "blockwise")
)
def test_padding_stands_nowhere(models, kind):
    """Rows of a padded batch equal each row alone, written as one sequence without padding."""
    model = models[kind]
    logits = call(model)
    for row in range(B):
        prompt = SOURCE[row, SOURCE[row] != 0]
        whole = np.concatenate([prompt, TARGET[row]])[None]
        alone = call(model, whole[:, :0], whole)  # all of it as the target of an empty source
        assert_close(alone[0, len(prompt) :], logits[row])
    assert_close(call(model, np.pad(SOURCE, ((0, 0), (0, 1)))), logits)


@pytest.mark.parametrize("kind", few(["learned", "shaw", "windowed"], "windowed"))
def test_padding_in_front_is_padding_at_the_end(models, kind):
    model, count = models[kind], np.sum(SOURCE == 0, axis=1)
    in_front = np.stack([np.roll(row, pads) for row, pads in zip(SOURCE, count, strict=True)])
    assert in_front[1, -1] == SOURCE[1, 1]
    assert_close(call(model, in_front), call(model))
    decoded, expected = (
        decode(model, x, start_id=1, end_id=2, max_length=4, return_alignments=True)
        for x in (in_front, SOURCE)
    )
    np.testing.assert_array_equal(decoded.tokens, expected.tokens)
    assert_close(decoded.alignments[1, ..., 3:], expected.alignments[1, ..., :2])
    hidden, mask = model.encode(in_front)
    assert_close(hidden[1][3:], model.encode(SOURCE)[0][1][:2])
    np.testing.assert_array_equal(mask, in_front != 0)


@pytest.mark.parametrize("source", [SOURCE * 0, SOURCE[:, :0]], ids=["all_pads", "no_places"])
def test_without_a_prompt_it_is_a_plain_language_model(models, source):
    model = models[""]
    logits = call(model, source)
    state, memory = model.start(source)
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], position, state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
    assert step.alignment.shape == (B, 1, source.shape[1])
    assert not np.any(step.alignment)


def test_the_alignment_is_the_last_layers_attention_to_the_prompt():
    model = make("language_model", alignment_heads=[0, 2])
    attention = model.get_layer("block_1").self_attention.sublayer
    seen, step_of_attention = [], attention.step
    attention.step = lambda *arguments: seen.append(step_of_attention(*arguments)) or seen[-1]
    state, memory = model.start(SOURCE)
    step = model.step(TARGET[:, :1], 0, state, memory)
    weights = seen[0][2].numpy()[:, [0, 2], 0].mean(axis=1)  # [B, S + 1], padding in front
    for row, length in enumerate(np.count_nonzero(SOURCE, axis=1)):
        np.testing.assert_allclose(step.alignment[row, 0, :length], weights[row, S - length : S], rtol=1e-5)
    assert (np.sum(step.alignment, axis=-1) < 1).all()


def test_greedy_of_a_batch_is_greedy_of_its_rows_and_of_a_graph(models):
    model = models["rotary"]
    together = decode(model, SOURCE, start_id=1, end_id=2, max_length=3)
    for row in range(B):
        source = SOURCE[row : row + 1, : np.count_nonzero(SOURCE[row])]
        alone = decode(model, source, start_id=1, end_id=2, max_length=3)
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[row, :, : alone.tokens.shape[-1]])
        np.testing.assert_allclose(alone.log_probs[0], together.log_probs[row], rtol=1e-4)
    graph = tf.function(
        lambda source: decode(model, source, start_id=1, end_id=2, max_length=3, return_alignments=True),
        [tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    for source, tokens in ((SOURCE, together.tokens), (SOURCE[:, :0], together.tokens[2:])):
        decoded = graph(source)
        np.testing.assert_array_equal(decoded.tokens[2:], tokens[-1:])
        assert decoded.alignments.shape[-1] == source.shape[1]


def test_steps_drop_nothing_out():
    model = make("language_model", dropout=0.5)
    state, memory = model.start(SOURCE)
    once, again = (model.step(TARGET[:, :1], 0, state, memory).logits for _ in range(2))
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share_embeddings": "all"}, r"`share_embeddings` is unknown. Expected one of \('none', 'target'\)"),
        ({"num_layers": 0}, r"`num_layers` must be a whole number of at least 1"),
        ({"alignment_layer": -3}, r"Expected -2 to 1. Received: alignment_layer=-3"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make("language_model", **settings)
