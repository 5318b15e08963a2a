"""to_ctranslate2: CTranslate2 decodes the same tokens with the same log-probabilities."""

import sys
from itertools import product

import keras
import numpy as np
import pytest

from keras_attn.decoding import BeamSearch, PowerLengthPenalty, decode
from keras_attn.export.ctranslate2 import to_ctranslate2
from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import RecurrentSeq2Seq, TransformerSeq2Seq

from ..few import few

V_SOURCE, V, D, H, HIDDEN = 19, 23, 12, 3, 17
LENGTHS = np.array([7, 2, 5, 6, 1, 4, 3])
SOURCE = np.random.default_rng(5).integers(4, V_SOURCE, (7, 7)).astype("int32")
SOURCE = np.where(np.arange(7) < LENGTHS[:, None], SOURCE, 0)
LONGEST = 11
SOURCES = [f"s{i}" for i in range(V_SOURCE)]
TARGETS = [f"t{i}" for i in range(V)]

KINDS = {
    "post_norm": {},
    "pre_norm": {"norm_first": True, "activation": "gelu"},
    "shared": {"share_embeddings": "target", "output_bias": True},
    "learned": {"positions": "learned", "position_options": {"max_length": 13}},
    "plain": {"positions": None, "embedding_scale": False},
    "halves": {"position_options": {"layout": "halves"}, "norm_first": True},
}


def make(rng, **settings):
    """A tiny model whose weights are all random, and whose outputs end early, late and never."""
    sizes = {"num_encoder_layers": 2, "num_decoder_layers": 1, "embedding_dim": D, "num_heads": H}
    sizes |= {"hidden_dim": HIDDEN, "dropout": 0.0}
    settings = {"source_vocabulary_size": V_SOURCE, "target_vocabulary_size": V, **sizes, **settings}
    model = TransformerSeq2Seq(**settings)
    for weight in model.trainable_weights:
        numbers, kind = rng.normal(size=weight.shape), weight.path.rsplit("/")[-1]
        spread = {"kernel": 1.5 * weight.shape[0] ** -0.5, "embeddings": 0.5}.get(kind, 0.1)
        weight.assign(spread * numbers + (kind == "gamma"))
    return model


@pytest.fixture
def open_translator(tmp_path):
    """Writes a model and opens it with CTranslate2, in float32 on one thread."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is an independent implementation")

    def open_model(model, sources=SOURCES, targets=TARGETS):
        folder = to_ctranslate2(model, sources, targets, tmp_path / "model", max_length=43)
        return ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)

    return open_model


def pieces(source):
    return [[SOURCES[i] for i in row if i] for row in source]


def ids(tokens):
    return [int(token[1:]) for token in tokens]


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_gives_the_same_tokens_and_scores(rng, open_translator, kind):
    model = make(rng, **KINDS[kind])
    translator = open_translator(model)
    results = translator.translate_batch(
        pieces(SOURCE),
        beam_size=1,
        length_penalty=0,
        min_decoding_length=0,
        max_decoding_length=LONGEST,
        return_scores=True,
        return_end_token=True,
        return_attention=True,
    )
    ours = decode(model, SOURCE, start_id=1, end_id=2, max_length=LONGEST, return_alignments=True)
    assert len({tuple(row) for row in ours.tokens.numpy()[:, 0]}) > 2  # the sources do make a difference
    for row, result in enumerate(results):
        length, width = int(ours.lengths[row, 0]), LENGTHS[row]
        assert ids(result.hypotheses[0]) == ours.tokens[row, 0, :length].numpy().tolist()
        assert result.scores[0] == pytest.approx(float(ours.log_probs[row, 0]), abs=1e-4)
        alignment = ours.alignments[row, 0, :length, :width]
        np.testing.assert_allclose(np.array(result.attention[0])[:length], alignment, atol=1e-4)


def check_beams(model, translator, source, power):
    """The hypotheses of 4 beams: tokens, order and scores."""
    # Without a penalty CTranslate2 stops once the best hypothesis is known; with one, when as many as there
    # are beams have ended, better ones to come or not.
    count, stopping = (4, "count") if power else (1, "exact")
    results = translator.translate_batch(
        [[f"s{i}" for i in row if i] for row in source],
        beam_size=4,
        num_hypotheses=count,
        length_penalty=power,
        min_decoding_length=0,
        max_decoding_length=31,
        return_scores=True,
        return_end_token=True,
    )
    strategy = BeamSearch(4, count, length_penalty=PowerLengthPenalty(power), early_stopping=stopping)
    ours = decode(model, source, start_id=1, end_id=2, max_length=31, strategy=strategy)
    finished = ours.finished.numpy()
    # Cut hypotheses stand after finished ones here, and among them there.
    rows = np.flatnonzero(finished.all(axis=1) | ~finished.any(axis=1))
    assert len(rows) > len(source) / 2
    for row in rows:
        tokens = zip(ours.tokens[row].numpy(), ours.lengths[row].numpy(), strict=True)
        assert [ids(line) for line in results[row].hypotheses] == [x[:n].tolist() for x, n in tokens]
        np.testing.assert_allclose(results[row].scores, ours.scores[row], atol=1e-4)


@pytest.mark.parametrize(
    ("power", "kind"),
    few(product([0.0, 1.0, 0.6], ["post_norm", "pre_norm"]), (0.0, "pre_norm"), (0.6, "post_norm")),
)
def test_beam_search_gives_the_same_hypotheses_and_scores(rng, open_translator, kind, power):
    model = make(rng, output_bias=True, **KINDS[kind])
    bias = model.get_layer("logits").bias
    bias.assign(bias + 2.5 * np.eye(V)[2])  # the end token comes now and then
    check_beams(model, open_translator(model), SOURCE, power)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["post_norm", "pre_norm"])
def test_trained_weights_give_the_same(rng, open_translator, kind):
    """A model that has learned to reverse, at least mostly, decodes in CTranslate2 as here."""
    lengths = rng.integers(2, 8, 3200)
    words = np.where(np.arange(7) < lengths[:, None], rng.integers(4, V_SOURCE, (3200, 7)), 0)
    labels = np.zeros((3200, 8), int)
    for row, length in enumerate(lengths):
        labels[row, : length + 1] = [*words[row, :length][::-1], 2]
    target = np.concatenate([np.ones((3200, 1), int), labels[:, :-1] * (labels[:, :-1] != 2)], axis=1)
    model = TransformerSeq2Seq(
        V_SOURCE,
        V,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=48,
        num_heads=4,
        hidden_dim=96,
        dropout=0.0,
        norm_first=kind == "pre_norm",
    )
    model.compile(keras.optimizers.Adam(0.003), SequenceCrossentropy(), jit_compile=False)
    model.fit({"source": words, "target": target}, labels, batch_size=64, epochs=6, verbose=0)
    source = words[:13].astype("int32")
    ours = decode(model, source, start_id=1, end_id=2, max_length=LONGEST).tokens.numpy()[:, 0, :8]
    expected = labels[:13, : ours.shape[1]]
    assert (ours == expected).mean() > 0.7
    translator = open_translator(model)
    for power in (0.0, 1.0):
        check_beams(model, translator, source, power)


@pytest.mark.parametrize("kind", ["post_norm", "pre_norm"])
def test_given_targets_have_the_same_log_probabilities(rng, open_translator, kind):
    model = make(rng, **KINDS[kind])
    target = rng.integers(4, V, (7, 3))
    scored = open_translator(model).score_batch(pieces(SOURCE), [[TARGETS[i] for i in row] for row in target])
    inputs = np.concatenate([np.ones((7, 1), int), target], axis=1)
    logits = model({"source": SOURCE, "target": inputs}).numpy().astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    outputs = np.concatenate([target, np.full((7, 1), 2)], axis=1)  # CTranslate2 scores the end token too
    expected = np.take_along_axis(log_probs, outputs[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose([result.log_probs for result in scored], expected, atol=1e-4)


def test_one_vocabulary_of_both_sides(rng, open_translator):
    model = make(rng, share_embeddings="all", target_vocabulary_size=V_SOURCE)
    translator = open_translator(model, SOURCES, SOURCES)
    result = translator.translate_batch(pieces(SOURCE), beam_size=1, max_decoding_length=5)
    ours = decode(model, SOURCE, start_id=1, end_id=2, max_length=5).tokens.numpy()[:, 0]
    lengths = [len(x.hypotheses[0]) for x in result]
    assert [ids(x.hypotheses[0]) for x in result] == [
        row[:length].tolist() for row, length in zip(ours, lengths, strict=True)
    ]


WRONG = {
    "positions": ({"positions": "t5"}, r"no such `positions`. Expected .*sinusoidal.*: positions='t5'"),
    "activation": ({"activation": "elu"}, r"no such `activation`"),
    "attention": ({"implementation": "blockwise"}, r"no such `implementation`"),
    "heads": ({"num_key_value_heads": 1}, r"no such `num_key_value_heads`"),
    "alignment": ({"alignment_heads": [1]}, r"no such `alignment_heads`"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_ctranslate2_has_not(rng, kind, tmp_path):
    pytest.importorskip("ctranslate2", reason="the check comes after its import")
    settings, message = WRONG[kind]
    with pytest.raises(ValueError, match=message):
        to_ctranslate2(make(rng, **settings), SOURCES, TARGETS, tmp_path)


def test_another_family(tmp_path):
    pytest.importorskip("ctranslate2", reason="the check comes after its import")
    model = RecurrentSeq2Seq(V_SOURCE, V, embedding_dim=5, units=7, attention_units=3)
    with pytest.raises(ValueError, match=r"Expected a TransformerSeq2Seq. Received: RecurrentSeq2Seq"):
        to_ctranslate2(model, SOURCES, TARGETS, tmp_path)


@pytest.mark.parametrize("wrong", [SOURCES[:-1], [*SOURCES[:-1], "s3"]])
def test_vocabularies_that_do_not_fit(rng, wrong, tmp_path):
    pytest.importorskip("ctranslate2", reason="the check comes after its import")
    with pytest.raises(
        ValueError, match=r"`source_vocabulary` does not fit .* Expected 19 different strings"
    ):
        to_ctranslate2(make(rng), wrong, TARGETS, tmp_path)


def test_without_ctranslate2(rng, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ImportError, match=r"needs the package ctranslate2.* Install it"):
        to_ctranslate2(make(rng), SOURCES, TARGETS, tmp_path)
