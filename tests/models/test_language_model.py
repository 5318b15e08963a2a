"""TransformerLanguageModel: prompt and continuation as one sequence, in every setting."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode
from keras_attn.models import TransformerLanguageModel

from .. import bounds
from ..few import few
from ..lazily import Lazily

V, D, H, HIDDEN = 23, 12, 3, 17
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [0, 0, 0, 0, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4], [1, 10, 3, 3, 22], [1, 21, 4, 0, 0]], np.int32)
B, T = TARGET.shape
S = SOURCE.shape[1]
TERMS = 2 * (5 * D + HIDDEN + S + T)  # two blocks

KINDS = {
    "pre_norm": {"activation": "gelu"},
    "post_norm": {"norm_first": False},
    "learned": {"positions": "learned", "position_options": {"max_length": 13}},
    "shaw": {"positions": "shaw", "position_options": {"max_distance": 2}},
    "t5": {"positions": "t5", "position_options": {"num_buckets": 8, "max_distance": 11}},
    "alibi": {"positions": "alibi"},
    "rotary": {"positions": "rotary", "num_key_value_heads": 1},
    "no_positions": {"positions": None, "embedding_scale": False},
    "windowed": {"implementation": "windowed", "window": 3},
    "blockwise": {"implementation": "blockwise"},
    "own_output": {"share_embeddings": "none", "output_bias": True},
}
# What `test_padding_stands_nowhere` leaves out, and several layers.
SOME_KINDS = pytest.mark.parametrize("kind", few(KINDS, "pre_norm", "t5", "alibi", "windowed", "own_output"))


@pytest.fixture(scope="module")
def models():
    """One of each kind."""
    layers = Lazily(lambda kind: 2 if kind == "pre_norm" else 1)
    return Lazily(lambda kind: make(np.random.default_rng(7), **KINDS[kind], num_layers=layers[kind]))


def make(rng, **settings):
    """A tiny model whose weights are all random, biases and norms too."""
    sizes = {"num_layers": 2, "embedding_dim": D, "num_heads": H, "hidden_dim": HIDDEN, "dropout": 0.0}
    model = TransformerLanguageModel(V, **{**sizes, **settings})
    for weight in model.trainable_weights:
        numbers, kind = rng.normal(size=weight.shape), weight.path.rsplit("/")[-1]
        spread = {"kernel": 1.5 * weight.shape[0] ** -0.5, "embeddings": 0.5}.get(kind, 0.1)
        weight.assign(spread * numbers + (kind == "gamma"))
    return model


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS)


@SOME_KINDS
def test_step_by_step_equals_the_full_pass(models, kind):
    model = models[kind]
    logits = call(model)
    assert logits.shape == (B, T, V)
    state, memory = model.start(SOURCE)
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], tf.constant(position), state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
        assert step.alignment.shape == (B, 1, S)
        assert (step.alignment.numpy()[:, 0][SOURCE == 0] == 0).all()
    assert {leaf.shape[3] for leaf in keras.tree.flatten(state)} == {S + T}


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
    model = models["pre_norm"]
    logits = call(model, source)
    state, memory = model.start(source)
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], position, state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
    assert step.alignment.shape == (B, 1, source.shape[1])
    assert not np.any(step.alignment)


def test_future_tokens_change_nothing_and_every_prompt_token_matters(models):
    model = models["pre_norm"]
    logits = call(model)
    for position in (0, T - 2):
        changed = TARGET.copy()
        changed[:, position + 1 :] = (changed[:, position + 1 :] + 5) % V
        other = call(model, target=changed)
        assert_close(other[:, : position + 1], logits[:, : position + 1])
        assert not np.allclose(other[:, position + 1], logits[:, position + 1])
    for place in range(S):
        changed = SOURCE.copy()
        changed[0, place] = 18
        other = call(model, changed)
        assert not np.allclose(other[0], logits[0])
        assert_close(other[1:], logits[1:])


def test_hypotheses_of_a_row_do_not_meet(models, rng):
    model = models["learned"]
    state, memory = model.start(SOURCE)
    first, second = rng.integers(4, V, (2, B, 2))
    doubled = keras.tree.map_structure(lambda leaf: tf.repeat(leaf, 2, axis=1), state)
    together = model.step(first, 0, doubled, memory)
    together = model.step(second, 1, together.state, memory)
    for k in range(2):
        alone = model.step(first[:, k : k + 1], 0, state, memory)
        alone = model.step(second[:, k : k + 1], 1, alone.state, memory)
        assert_close(together.logits[:, k], alone.logits[:, 0])
        assert_close(together.alignment[:, k], alone.alignment[:, 0])


def test_the_alignment_is_the_last_layers_attention_to_the_prompt(rng):
    model = make(rng, alignment_heads=[0, 2])
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


def test_mixed_precision(models, rng):
    exact = models["pre_norm"]
    mixed = make(rng, **KINDS["pre_norm"], dtype="mixed_bfloat16")
    mixed.set_weights(exact.get_weights())
    logits = call(mixed)
    assert logits.dtype == np.float32
    assert np.corrcoef(logits.reshape(-1), call(exact).reshape(-1))[0, 1] > 0.99
    state, memory = mixed.start(SOURCE)
    step = mixed.step(TARGET[:, :1], 0, state, memory)
    assert {leaf.dtype for leaf in keras.tree.flatten([state, step.state])} == {tf.bfloat16}
    np.testing.assert_allclose(step.logits[:, 0], logits[:, 0], atol=0.3)


def test_compiled_by_xla_gives_the_same(models):
    model = models["pre_norm"]
    compiled = tf.function(lambda inputs: model(inputs), jit_compile=True)
    assert_close(compiled({"source": SOURCE, "target": TARGET}), call(model))


@pytest.mark.parametrize("kind", ["t5", "own_output"])
def test_config_round_trip(models, kind):
    model = models[kind]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(call(again), call(model))


def test_a_loaded_model_still_decodes(models, tmp_path):
    model = models["learned"]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        decode(loaded, SOURCE, start_id=1, end_id=2, max_length=5).tokens,
        decode(model, SOURCE, start_id=1, end_id=2, max_length=5).tokens,
    )


def test_dropout_acts_in_training_alone(rng):
    model, inputs = make(rng, dropout=0.5), {"source": SOURCE, "target": TARGET}
    np.testing.assert_array_equal(model(inputs), model(inputs))
    assert not np.allclose(model(inputs, training=True), model(inputs, training=True))
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
def test_wrong_settings(rng, settings, message):
    with pytest.raises(ValueError, match=message):
        make(rng, **settings)
