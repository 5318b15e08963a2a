"""Speculative decoding of real models: in graphs of unknown sizes, and exported, without XLA."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode, speculative_greedy
from keras_attn.export import check_ops
from keras_attn.models import ConvolutionalSeq2Seq, TransformerLanguageModel, TransformerSeq2Seq

pytestmark = pytest.mark.exhaustive

START, SIZE, MAX_LENGTH = 1, 11, 13
# What each target writes now and then; an end token that comes early, late and never.
ENDS = {"target": 3, "language model": 10}
SOURCES = [
    np.array([[5, 3, 9, 2, 6], [7, 2, 0, 0, 0], [4, 10, 2, 0, 0], [8, 8, 3, 2, 0]], np.int32),
    np.array([[7, 2]], np.int32),
]
SPEC = tf.TensorSpec([None, None], tf.int32, "source")
SIZES = {"embedding_dim": 8, "num_heads": 2, "hidden_dim": 13}


def seq2seq(layers=2, **settings):
    return TransformerSeq2Seq(
        SIZE, SIZE, num_encoder_layers=1, num_decoder_layers=layers, **SIZES, **settings
    )


def language_model():
    return TransformerLanguageModel(SIZE, num_layers=1, positions="t5", share_embeddings="none", **SIZES)


def shaken(model, seed=1):
    """Kernels large enough that the answers depend on the source and change from place to place."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, 0.8, weight.shape))
    return model


def related(model):
    """The same model, slightly off."""
    other = type(model).from_config(model.get_config())
    rng = np.random.default_rng(5)
    other.set_weights([weight + rng.normal(0, 0.03, weight.shape) for weight in model.get_weights()])
    return other


@pytest.fixture(scope="module", name="models")
def models_fixture(tiny_model):
    recurrent = tiny_model(SIZE)  # seeds
    # Tables of positions that end where the result must: nobody looks further.
    learned = {"positions": "learned", "position_options": {"max_length": MAX_LENGTH}}
    target = shaken(seq2seq(norm_first=True, **learned))
    convolutional = ConvolutionalSeq2Seq(SIZE, SIZE, embedding_dim=8, max_target_length=MAX_LENGTH)
    return {
        "target": target,
        "language model": shaken(language_model()),
        "related": related(target),
        "unrelated": shaken(seq2seq(1, positions="rotary"), seed=2),
        "recurrent": recurrent,
        "convolutional": shaken(convolutional),
    }


def both(models, target, draft, num_draft_tokens=3):
    """A function of the source: what speculative and greedy decoding give, and the rounds of the former."""

    end_id, target, draft = ENDS[target], models[target], models[draft]

    def run(source):
        task = {"start_id": START, "end_id": end_id, "max_length": MAX_LENGTH, "return_alignments": True}
        expected = decode(target, source, **task)
        decoded, rounds = speculative_greedy(
            target, draft, source, **task, num_draft_tokens=num_draft_tokens, return_rounds=True
        )
        return {
            "rounds": rounds,
            **{f"speculative_{name}": x for name, x in decoded._asdict().items()},
            **{f"greedy_{name}": tf.identity(x) for name, x in expected._asdict().items()},
        }

    return run


def check(results):
    for name in ("tokens", "lengths", "finished", "log_probs", "scores", "alignments"):
        one, other = results[f"speculative_{name}"], results[f"greedy_{name}"]
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)
    return np.asarray(results["rounds"]), np.asarray(results["greedy_lengths"])[:, 0]


@pytest.fixture(scope="module")
def graph_of(models):
    """`graph_of(target, draft, ...)`: traced once, for all tests."""
    return cache(lambda *names: tf.function(both(models, *names), input_signature=[SPEC], autograph=False))


@pytest.mark.parametrize(
    "draft", ["target", "related", "unrelated", "language model", "recurrent", "convolutional"]
)
def test_every_family_drafts(graph_of, draft):
    graph = graph_of("target", draft)
    rounds, lengths = check(graph(SOURCES[0]))
    assert lengths.min() < lengths.max() == MAX_LENGTH  # some rows end, some are cut
    assert (rounds <= lengths).all()
    rounds, lengths = check(graph(SOURCES[1]))  # the batch of one, with other sizes
    if draft == "target":
        np.testing.assert_array_equal(rounds, -(-lengths // 4))
    if draft == "related":
        assert (rounds < lengths).all()


@pytest.mark.parametrize("draft", ["language model", "recurrent"])
def test_a_language_model_as_target(graph_of, draft):
    graph = graph_of("language model", draft, 2)
    _, lengths = check(graph(SOURCES[0]))
    assert lengths.min() < lengths.max()
    check(graph(SOURCES[1]))


def traced_once(graph):
    """What `tf.saved_model.save` traces again, though the graph is there, is then one call."""
    concrete = graph.get_concrete_function()
    return tf.function(lambda source: concrete(source), input_signature=[SPEC], autograph=False)


def test_exported_and_run_by_a_session_without_xla(models, graph_of, ask_session, tmp_path):
    module = tf.Module()
    names = ("target", "related", "recurrent")
    module.weights = [weight.value for name in names for weight in models[name].weights]
    signatures = {draft: traced_once(graph_of("target", draft)) for draft in names[1:]}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    check_ops(tmp_path)
    requests = [(name, {"source": source}) for name in signatures for source in SOURCES]
    for (name, inputs), answer in zip(requests, ask_session(tmp_path, requests), strict=True):
        check(answer)
        eager = decode(
            models["target"], inputs["source"], start_id=START, end_id=ENDS["target"], max_length=MAX_LENGTH
        )
        np.testing.assert_array_equal(answer["speculative_tokens"], eager.tokens, err_msg=name)
