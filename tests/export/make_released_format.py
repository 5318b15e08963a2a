"""Writes the export of today's format that `test_released_formats.py` keeps loadable: `DIR/format-N.*`."""

import json
import sys
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_attn
from keras_attn.export import export_saved_model
from keras_attn.export.manifest import FORMAT
from keras_attn.export.verification.backends import LoadedBackend
from keras_attn.export.verification.requests import questions
from keras_attn.models import RecurrentSeq2Seq
from keras_attn.tokenizers import CharacterTokenizer

TEXTS = ["ab 세", "", "c", "세계 abc"]
TARGETS = ["cb", "a", "", "계"]


def main(folder):
    keras.utils.set_random_seed(3)
    tokenizer = CharacterTokenizer("abc 세계")
    model = RecurrentSeq2Seq(
        tokenizer.vocabulary_size, tokenizer.vocabulary_size, embedding_dim=3, units=5, attention_units=2
    )
    for weight in model.trainable_weights:
        weight.assign(weight + np.random.default_rng(3).normal(0, 0.9, weight.shape))
    text_to_text = keras_attn.TextToText(model, tokenizer, tokenizer, max_length=7, max_source_length=11)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"format-{FORMAT}"
    with tempfile.TemporaryDirectory() as base_path:
        path = export_saved_model(text_to_text, Path(base_path) / "model", beam_size=2)
        asked = questions(encoded(TEXTS), encoded(TARGETS), (tokenizer, tokenizer), 7)
        way = LoadedBackend(path)
        entries = [
            {"signature": key, "inputs": described(inputs), "answer": described(way.ask(key, inputs))}
            for key, inputs in asked.items()
        ]
        with tarfile.open(folder / f"{name}.tar.xz", "w:xz", preset=9) as archive:
            archive.add(path, "1", filter=anonymous)
    text = json.dumps(entries, ensure_ascii=False, indent=0)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def encoded(texts):
    return [text.encode() for text in texts]


def described(arrays):
    return {name: described_array(np.asarray(array)) for name, array in arrays.items()}


def described_array(array):
    values = array.reshape(-1).tolist()
    if array.dtype == object:
        values = [value.decode() for value in values]
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": values}


def anonymous(member):
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


main(Path(sys.argv[1]))
