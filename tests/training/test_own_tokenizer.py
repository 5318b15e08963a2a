"""A tokenizer that a user writes and registers: trained from a recipe, decoded and exported."""

import json
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from keras_attn.export import export_saved_model
from keras_attn.export.verification.requests import load_tokenizer
from keras_attn.export.version_files import read_manifest
from keras_attn.tokenizers import kinds, register_tokenizer

TEXTS = ["Rot BLAU 3", "가 나", "unbekannt", ""]


class LowerCaseTokenizer(tf.Module):
    """Words in lower case; its files end in `.words`."""

    kind = "lower_case"
    suffix = ".words"

    def __init__(self, words):
        super().__init__()
        self.words = ["", "", "", "?", *words]
        self.vocabulary_size = len(self.words)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(words, range(4, len(self.words)), tf.string, tf.int32), 3
        )

    @classmethod
    def train(cls, lines, vocabulary_size):
        counts = Counter(word for line in lines for word in line.lower().split())
        return cls([word for word, _ in counts.most_common(vocabulary_size - 4)])

    def encode(self, text):
        words = tf.strings.split(tf.strings.lower(text, "utf-8"))
        return tf.ragged.map_flat_values(self.table.lookup, words)

    def decode(self, ids):
        return tf.strings.reduce_join(self.pieces(ids), axis=-1, separator=" ")

    def pieces(self, ids):
        return tf.ragged.map_flat_values(tf.gather, tf.constant(self.words), ids)

    def save(self, path):
        Path(f"{path}.words").write_text(json.dumps(self.words[4:]))

    @classmethod
    def load(cls, path):
        return cls(json.loads(Path(path).read_text()))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(kinds, "_registered", {})
    return register_tokenizer(LowerCaseTokenizer)


def test_training_decoding_and_export(registered, quick_recipe_of, training, tmp_path, few_signatures):
    recipe = quick_recipe_of(tokenizer__kind="lower_case", training__epochs=1)
    run, _ = training(recipe, tmp_path / "run")
    text_to_text = run.text_to_text()
    assert isinstance(text_to_text.source_tokenizer, registered)
    pieces = text_to_text.align(TEXTS[:1])["source_pieces"].numpy().tolist()
    assert pieces == [[b"rot", b"blau", b"3", b"</s>"]]
    with few_signatures():
        folder = export_saved_model(text_to_text, tmp_path / "export")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](text=tf.constant(TEXTS))
    assert [text.decode() for text in served["text"].numpy()] == text_to_text(TEXTS)
    again = load_tokenizer(folder, read_manifest(folder), "target")
    assert again.words == text_to_text.target_tokenizer.words
