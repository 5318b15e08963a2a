"""A SavedModel with words on one side and bytes on the other answers as the eager model does."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import export_saved_model
from keras_attn.export.verification.requests import load_tokenizer
from keras_attn.export.version_files import read_manifest
from keras_attn.tokenizers import ByteTokenizer, WordTokenizer

TEXTS = ["ein Hund", "", "unbekannt 세계 ein", " \u3000", "Hund ein Hund"]


@pytest.fixture(scope="module")
def model(tiny_model):
    source = WordTokenizer.train(["ein Hund läuft"], 97)
    target = ByteTokenizer()
    return TextToText(
        tiny_model(source.vocabulary_size, target.vocabulary_size),
        source,
        target,
        max_length=7,
        max_source_length=11,
    )


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory, few_signatures):
    with few_signatures():
        return export_saved_model(model, tmp_path_factory.mktemp("exports") / "tiny")


def test_texts(model, folder):
    run = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answers = [text.decode() for text in run(text=tf.constant(TEXTS))["text"].numpy()]
    assert answers == model(TEXTS)
    assert len(set(answers)) > 1


def test_tokenizers_stand_beside_it(model, folder):
    manifest = read_manifest(folder)
    for side, tokenizer in (("source", model.source_tokenizer), ("target", model.target_tokenizer)):
        again = load_tokenizer(folder, manifest, side)
        assert type(again) is type(tokenizer)
        texts = tf.constant(TEXTS)
        np.testing.assert_array_equal(
            again.encode(texts).flat_values.numpy(), tokenizer.encode(texts).flat_values.numpy()
        )
