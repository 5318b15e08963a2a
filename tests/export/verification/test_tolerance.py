"""The bound of rounding: from the sizes of a model, and as wide as what they make possible."""

import json
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export.verification.tolerance import (
    UNKNOWN,
    FixedTolerance,
    RoundingTolerance,
    kernels_of,
    read_tolerance,
    tolerance_of,
)
from keras_attn.export.version_files import read_manifest
from keras_attn.models import RecurrentSeq2Seq, TransformerLanguageModel

U = 2.0**-24


def test_a_token_and_a_sum_of_tokens():
    tolerance = RoundingTolerance(num_terms=10_000, vocabulary_size=20, max_length=7)
    share, of_a_token = 4 * U * 100, 4 * U * 100 * math.log(20)
    assert (tolerance.share, tolerance.of_a_token) == pytest.approx((share, of_a_token))
    tokens = np.array([[-0.5, -50.0], [-0.25, 0.0]])
    np.testing.assert_allclose(tolerance.bounds("token_log_probs", tokens, {}), [[50 * share], [of_a_token]])
    sums, lengths = np.array([-50.5, -0.25]), {"length": np.array([2, 1])}
    expected = [50.5 * share + 3 * of_a_token, 0.25 * share + 2 * of_a_token]
    np.testing.assert_allclose(tolerance.bounds("log_prob", sums, lengths), expected)
    # An answer that does not say how many tokens a sum is of may have as many as the model decodes.
    expected = [50.5 * share + 7 * of_a_token, 0.25 * share + 7 * of_a_token]
    np.testing.assert_allclose(tolerance.bounds("score", sums, {}), expected)


def test_it_grows_with_layers_and_with_width():
    def of_a_token(layers, width, length=9):
        model = TransformerLanguageModel(
            31, num_layers=layers, embedding_dim=width, num_heads=2, hidden_dim=2 * width
        )
        tokenizer = SimpleNamespace(vocabulary_size=31)
        return tolerance_of(TextToText(model, tokenizer, tokenizer, max_length=length), [b"abc"]).of_a_token

    assert of_a_token(1, 8) < of_a_token(2, 8) < of_a_token(2, 16)
    assert of_a_token(1, 8) < of_a_token(1, 8, length=99)


def test_kernels_are_what_sums_are_made_of():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Embedding(97, 5), keras.layers.GRU(7), keras.layers.Dense(11)]
    )
    assert kernels_of(model) == {"num_kernels": 3, "num_terms": 5 + 7 + 7}
    convolution = keras.Sequential([keras.Input((3, 5)), keras.layers.Conv1D(7, 2)])
    assert kernels_of(convolution) == {"num_kernels": 1, "num_terms": 2 * 5}


def test_a_decoder_without_weights_of_keras_is_not_known(tokenizers):
    assert kernels_of(object()) is None
    text_to_text = TextToText(object(), tokenizers.characters, tokenizers.characters)
    assert tolerance_of(text_to_text, [b"x"]) == UNKNOWN == FixedTolerance(1e-5)


def test_a_manifest_says_it_and_an_older_one_does_not_have_to(tmp_path):
    model = RecurrentSeq2Seq(61, 67, embedding_dim=5, units=7, attention_units=3)
    tf.train.Checkpoint(weights=model.weights, other=tf.Variable(tf.zeros([1000, 3]))).write(
        str(tmp_path / "variables" / "variables")
    )
    tokenizer = {"source": {"vocabulary_size": 61}, "target": {"vocabulary_size": 67}}
    old = {"decoding": {"max_length": 11}, "tokenizers": tokenizer}
    new = old | {"kernels": kernels_of(model)}
    texts = [b"a", b"abc"]
    known = read_tolerance(tmp_path / "nowhere", new, texts)
    num_terms = new["kernels"]["num_terms"] + new["kernels"]["num_kernels"] * (3 + 2 + 11)
    assert known == RoundingTolerance(num_terms, 67, 11)
    # Weights without names: a bias of two axes counts as a kernel.
    guessed = read_tolerance(tmp_path, old, texts)
    assert known.of_a_token < guessed.of_a_token < 1.1 * known.of_a_token


def test_an_older_packed_export_has_no_weights_beside_it(tmp_path):
    tf.train.Checkpoint(other=tf.Variable(0.0)).write(str(tmp_path / "variables" / "variables"))
    sizes = {"source": {"vocabulary_size": 61}, "target": {"vocabulary_size": 67}}
    assert read_tolerance(tmp_path, {"decoding": {"max_length": 11}, "tokenizers": sizes}, [b""]) == UNKNOWN


def test_an_exports_manifest_says_as_much_as_its_model(family):
    manifest = read_manifest(family.path)
    assert manifest["kernels"] == kernels_of(family.text_to_text.model)
    assert read_tolerance(family.path, manifest, [b"abc"]) == tolerance_of(family.text_to_text, [b"abc"])


@pytest.mark.parametrize("tolerance", [RoundingTolerance(900, 61, 11), FixedTolerance(0.01)])
def test_a_report_names_it(tolerance):
    summary = json.loads(json.dumps(tolerance.summary()))
    assert summary["kind"] in ("rounding", "fixed")
    assert f"{tolerance[0]:g}" in str(tolerance)
