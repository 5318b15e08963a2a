"""A Transformer that is packed at export: every signature, the same answers, no weight twice."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import export_saved_model
from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.backends import EagerBackend, SessionBackend
from keras_attn.export.verification.comparison import as_arrays, differences
from keras_attn.export.verification.tolerance import tolerance_of
from keras_attn.export.version_files import read_manifest
from keras_attn.models import TransformerSeq2Seq

from ..conftest import TEXTS

# All in one dtype; in the other those that are compared, and a stream, which the export itself follows.
SIGNATURES = {
    "float32": ("serving_default", "score", "encode", "stream", "stream_events"),
    "bfloat16": tuple(INPUTS),
}


@pytest.fixture(scope="module")
def text_to_text(tokenizers):
    tokenizer = tokenizers.characters
    model = TransformerSeq2Seq(
        tokenizer.vocabulary_size,
        tokenizer.vocabulary_size,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=12,
        num_heads=3,
        hidden_dim=17,
        dropout=0.0,
    )
    rng = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.4, weight.shape))
    return TextToText(model, tokenizer, tokenizer, max_length=11, max_source_length=31)


@pytest.fixture(scope="module")
def packed_path(text_to_text, tmp_path_factory, few_signatures):
    """`packed_path(dtype)`: the export in that dtype, with the signatures of `SIGNATURES`."""

    def export(dtype):
        with few_signatures(*SIGNATURES[dtype]):
            return export_saved_model(text_to_text, tmp_path_factory.mktemp("packed") / dtype, packed=dtype)

    return cache(export)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.exhaustive)])
def test_a_packed_export_answers_as_its_model(text_to_text, request_of, packed_path, dtype):
    from keras_attn.export.packed.transformer import packed_text_to_text
    from keras_attn.export.service.service import Service

    path = packed_path(dtype)
    manifest = read_manifest(path)
    assert manifest["packed"] == dtype
    assert set(manifest["signatures"]) == set(SIGNATURES[dtype])
    outputs = manifest["signatures"]["encode"]["outputs"] | manifest["signatures"]["score"]["outputs"]
    assert {outputs[key]["dtype"] for key in ("states", "log_prob", "token_log_probs")} == {"float32"}
    session, packed = SessionBackend(path), EagerBackend(Service(packed_text_to_text(text_to_text, dtype)))
    plain = EagerBackend(Service(text_to_text))
    exactly = tolerance_of(text_to_text, [text.encode() for text in TEXTS])
    tolerance = exactly if dtype == "float32" else 0.2
    for name in ("serving_default", "score", "encode"):
        inputs = request_of(name, range(7))
        answer = as_arrays(session.ask(name, inputs))
        if dtype == "float32":
            assert differences(plain.ask(name, inputs), answer, exactly) == [], name
        if name != "serving_default":  # in bfloat16, what is decoded may differ from eager
            answer.pop("perplexity", None)  # an exponential of what is compared
            expected = {key: value for key, value in packed.ask(name, inputs).items() if key in answer}
            assert differences(expected, answer, tolerance) == [], name
    session.close()


def test_the_weights_of_a_packed_export_are_in_the_graph_alone(packed_path):
    stored = [
        name
        for name, _ in tf.train.list_variables(str(packed_path("float32") / "variables" / "variables"))
        if not name.startswith("_CHECKPOINTABLE")
    ]
    assert stored == []
