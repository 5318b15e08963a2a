"""RecurrentSeq2Seq in its many settings: the invariants of every decoder, saving, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode
from keras_attn.layers import CoverageAttention, LuongAttention
from keras_attn.models import RecurrentSeq2Seq

from .. import bounds
from ..few import few
from ..lazily import Lazily

V = 23
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4], [1, 10, 3, 3, 22], [1, 21, 4, 0, 0]], np.int32)
B, T = TARGET.shape
TERMS = T * (5 + 7 + 2 * 7 + 3 + T)  # embedding, units, both directions, attention
# Every pair of choices that meet in the code stands in some row.
KINDS = {
    "no_attention": {"attention": None, "order": "luong", "readout": "maxout", "num_encoder_layers": 2},
    "no_attention_copy": {
        "attention": None,
        "cell": "lstm",
        "bidirectional": False,
        "bridge": "copy",
        "num_decoder_layers": 2,
        "input_feeding": True,
    },
    "luong_2015": {
        "attention": "luong",
        "cell": "lstm",
        "bidirectional": False,
        "bridge": "copy",
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "input_feeding": True,
        "attention_vector_units": 5,
        "readout": None,
        "tie_target_embedding": True,
    },
    "bahdanau_2015": {"normalize": True, "readout": "maxout", "readout_units": 11},
    "bahdanau_deep": {
        "cell": "lstm",
        "num_encoder_layers": 3,
        "num_decoder_layers": 2,
        "residual": True,
        "order": "luong",
        "attention_vector_units": 13,
    },
    "luong_concat": {
        "attention": "luong",
        "score": "concat",
        "order": "bahdanau",
        "bridge": "zero",
        "num_decoder_layers": 3,
        "residual": True,
        "tie_target_embedding": True,
    },
    "luong_dot": {"attention": "luong", "score": "dot", "bidirectional": False, "normalize": True},
    "luong_local": {"attention": "luong_local", "window": 2, "bridge": "zero", "cell": "lstm"},
    "coverage": {"attention": CoverageAttention(3), "input_feeding": True, "bridge": "copy"},
}
TRACED = {}
# Without attention, and with each that has a state of its own or looks at some places alone.
SOME_KINDS = pytest.mark.parametrize("kind", few(KINDS, "no_attention_copy", "luong_local", "coverage"))
ONE_KIND = pytest.mark.parametrize("kind", few(KINDS, "luong_2015"))


@pytest.fixture(scope="module")
def models():
    """One of each kind, with random weights."""
    return Lazily(lambda kind: make(np.random.default_rng(7), **KINDS[kind]))


def make(rng, **settings):
    model = RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3, **settings)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    return model


def call(model, source=SOURCE, target=TARGET):
    """The logits; traced once a model, for the loop over the target is slow eagerly."""
    if model not in TRACED:
        ids = tf.TensorSpec([None, None], tf.int32)
        TRACED[model] = tf.function(model, input_signature=[{"source": ids, "target": ids}], autograph=False)
    return TRACED[model]({"source": source, "target": target}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS)


@pytest.mark.parametrize(
    "kind", few(KINDS, "no_attention_copy", "luong_2015", "bahdanau_deep", "luong_local", "coverage")
)
def test_step_by_step_equals_the_full_pass(models, kind):
    model = models[kind]
    logits = call(model)
    assert logits.shape == (B, T, V)
    assert logits.dtype == np.float32
    state, memory = model.start(SOURCE)
    shapes = [leaf.shape for leaf in state]
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], position, state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
        assert step.alignment.shape == (B, 1, SOURCE.shape[1])
        total = np.sum(step.alignment, axis=-1)
        if KINDS[kind].get("attention", "bahdanau") is None:
            assert not total.any()
        elif kind == "luong_local":
            assert (total <= 1 + 1e-5).all()
        else:
            np.testing.assert_allclose(total, 1, rtol=1e-5)
        assert (step.alignment.numpy()[:, 0][SOURCE == 0] == 0).all()
    assert [leaf.shape for leaf in state] == shapes


@ONE_KIND
def test_hypotheses_of_a_row_do_not_meet(models, kind, rng):
    model = models[kind]
    state, memory = model.start(SOURCE)
    first, second = rng.integers(4, V, (2, B, 2))
    doubled = keras.tree.map_structure(lambda leaf: tf.repeat(leaf, 2, axis=1), state)
    together = model.step(second, 1, model.step(first, 0, doubled, memory).state, memory)
    for k in range(2):
        alone = model.step(first[:, k : k + 1], 0, state, memory)
        alone = model.step(second[:, k : k + 1], 1, alone.state, memory)
        assert_close(together.logits[:, k], alone.logits[:, 0])
        assert_close(together.alignment[:, k], alone.alignment[:, 0])


@SOME_KINDS
def test_padding_and_future_tokens_change_nothing(models, kind):
    model = models[kind]
    logits = call(model)
    assert_close(call(model, np.pad(SOURCE, ((0, 0), (0, 3)))), logits)
    assert_close(call(model, target=np.pad(TARGET, ((0, 0), (0, 3))))[:, :T], logits)
    changed = TARGET.copy()
    changed[:, 3:] = (changed[:, 3:] + 5) % V
    other = call(model, target=changed)
    assert_close(other[:, :3], logits[:, :3])
    assert not np.allclose(other[:, 3], logits[:, 3])


@SOME_KINDS
def test_permuting_the_batch_permutes_the_result(models, kind):
    order = [2, 0, 1]
    assert_close(call(models[kind], SOURCE[order], TARGET[order]), call(models[kind])[order])


@SOME_KINDS
def test_every_source_token_matters(models, kind):
    logits = call(models[kind])
    for place in range(SOURCE.shape[1]):
        changed = SOURCE.copy()
        changed[0, place] = 18
        assert not np.allclose(call(models[kind], changed)[0], logits[0], atol=1e-6)


@ONE_KIND
def test_greedy_in_a_graph_is_greedy_of_the_rows(models, kind):
    model = models[kind]
    ids = tf.TensorSpec([None, None], tf.int32)
    run = tf.function(
        lambda source: decode(model, source, start_id=1, end_id=2, max_length=7).tokens,
        input_signature=[ids],
        autograph=False,
    )
    together = run(SOURCE).numpy()
    for row in range(B):
        alone = run(SOURCE[row : row + 1, : np.count_nonzero(SOURCE[row])]).numpy()
        np.testing.assert_array_equal(alone[0], together[row, :, : alone.shape[-1]])
        assert not together[row, :, alone.shape[-1] :].any()


@ONE_KIND
def test_config_round_trip(models, kind):
    written = keras.saving.serialize_keras_object(models[kind])
    again = keras.saving.deserialize_keras_object(written)
    assert keras.saving.serialize_keras_object(again) == written
    again.set_weights(models[kind].get_weights())
    np.testing.assert_array_equal(call(again), call(models[kind]))


def test_what_older_files_hold_makes_the_model_that_they_meant():
    """Keras finds the weights in a file by the classes and the order of the layers."""
    old = {"source_vocabulary_size": 19, "target_vocabulary_size": V, "embedding_dim": 5, "units": 7}
    model = RecurrentSeq2Seq.from_config({"name": "old", **old, "attention_units": 3, "dropout": 0.3})
    layers = [layer for layer in model.layers if layer.weights]
    assert [(type(layer).__name__, layer.name) for layer in layers] == [
        ("Embedding", "target_embedding"),
        ("Embedding", "source_embedding"),
        ("Bidirectional", "encoder"),
        ("Dense", "bridge"),
        ("AttentionRNN", "decoder"),
        ("Dense", "readout"),
        ("Dense", "logits"),
    ]
    assert model.count_params() == 5 * (19 + V) + 2 * 294 + 56 + 588 + 66 + 135 + 138


def test_two_models_of_one_attention_layer_share_no_weights():
    attention = LuongAttention("general")
    one, other = (RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention=attention) for _ in range(2))
    assert not {id(weight) for weight in one.weights} & {id(weight) for weight in other.weights}
    assert not attention.built


def test_an_attention_layer_in_use_elsewhere_is_none_of_the_model():
    attention = LuongAttention("general")
    attention.build((None, None, 3), (None, None, 4))
    fresh, given = (
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention=layer)
        for layer in (LuongAttention("general"), attention)
    )
    assert len(given.weights) == len(fresh.weights)

    assert given.get_config()["attention"]["class_name"] == "LuongAttention"


def test_a_tied_model_has_one_table_for_the_target():
    free, tied = (
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3, tie_target_embedding=tied)
        for tied in (False, True)
    )
    assert free.count_params() - tied.count_params() == 5 * V


@pytest.mark.parametrize(
    ("kind", "policy"), [("no_attention_copy", "mixed_bfloat16"), ("luong_2015", "mixed_float16")]
)
def test_mixed_precision(models, kind, policy):
    mixed = RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3, **KINDS[kind], dtype=policy)
    assert mixed.get_config()["dtype"] == policy
    layers = [layer for layer in mixed.layers if layer.weights and layer.name != "logits"]
    assert {layer.compute_dtype for layer in layers} == {policy.removeprefix("mixed_")}
    mixed.set_weights(models[kind].get_weights())
    logits, exact = call(mixed), call(models[kind])
    assert mixed.output.dtype == "float32"
    assert logits.dtype == np.float32
    assert np.corrcoef(logits.reshape(-1), exact.reshape(-1))[0, 1] > 0.99
    state, memory = mixed.start(SOURCE)
    step = mixed.step(TARGET[:, :1], 0, state, memory)
    assert [leaf.dtype for leaf in step.state] == [leaf.dtype for leaf in state]
    np.testing.assert_allclose(step.logits[:, 0], logits[:, 0], atol=0.1)


@pytest.mark.parametrize("name", ["cell", "bridge", "attention", "readout"])
def test_unknown_choices(name):
    with pytest.raises(ValueError, match=f"`{name}` is unknown. Expected .*one of .* Received: {name}='rnn'"):
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, **{name: "rnn"})


@pytest.mark.parametrize("name", ["units", "embedding_dim", "num_encoder_layers", "num_decoder_layers"])
def test_wrong_counts(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a whole number of at least 1.*{name}=0"):
        RecurrentSeq2Seq(19, V, **{"embedding_dim": 5, "units": 7, name: 0})


@pytest.mark.parametrize(
    "settings", [{"readout_units": 7}, {"readout": None}, {"readout": None, "attention_vector_units": 3}]
)
def test_tied_weights_of_different_widths(settings):
    with pytest.raises(ValueError, match=r"`tie_target_embedding` needs .* Expected 5 \(embedding_dim\)"):
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, tie_target_embedding=True, **settings)
