"""Tokenizers of every kind read again from their files, and inside a saved graph the same as in Python."""

import json

import pytest
import tensorflow as tf

from keras_attn.tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    SentencePieceTokenizer,
    WordTokenizer,
    load_tokenizer,
)

LINES = ["ein Hund läuft .", "안녕 세계", "🙂 e\u0301 ."] * 3
TEXTS = ["ein Hund", "", "unbekannt 세계 ?", " \u3000", "läuft  läuft . \u4e00"]
TOKENIZERS = {
    "characters": lambda: CharacterTokenizer.train(LINES, 97),
    "words": lambda: WordTokenizer.train(LINES, 97),
    "bytes": ByteTokenizer,
    "sentencepiece": lambda: SentencePieceTokenizer.train(LINES, 41),
}


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def tokenizer(request):
    return TOKENIZERS[request.param]()


def test_a_file_says_of_which_kind_it_is(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "source")
    (path,) = tmp_path.iterdir()
    again = load_tokenizer(path)
    assert type(again) is type(tokenizer)
    assert again.vocabulary_size == tokenizer.vocabulary_size
    texts = tf.constant(TEXTS)
    assert again.encode(texts).to_list() == tokenizer.encode(texts).to_list()


def test_names_with_dots_are_names_of_their_own(tokenizer, tmp_path):
    for name in ("tok.en", "tok.ko"):
        tokenizer.save(tmp_path / name)
    assert len({path.name for path in tmp_path.iterdir()}) == 2
    assert type(tokenizer).load(tmp_path / "tok.en").vocabulary_size == tokenizer.vocabulary_size
    tokenizer.save(next(tmp_path.iterdir()))  # a whole name is taken as it is
    assert len(list(tmp_path.iterdir())) == 2


def test_inside_a_saved_graph(tokenizer, tmp_path):
    """Encoded, padded, and decoded from the padded ids: unknown words and empty texts among them."""
    module = tf.Module()
    module.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def run(text):
        ids = tokenizer.encode(text)
        padded = tf.concat([ids.to_tensor(0), tf.zeros([tf.shape(text)[0], 3], tf.int32)], 1)
        rows = tf.RaggedTensor.from_tensor(padded, ids.row_lengths() + 2)
        return {"ids": padded, "text": tokenizer.decode(rows), "pieces": tokenizer.pieces(padded)}

    module.run = run
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=run)
    answer = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](tf.constant(TEXTS))
    ids = tokenizer.encode(tf.constant(TEXTS))
    assert [row[row > 0].tolist() for row in answer["ids"].numpy()] == ids.to_list()
    assert answer["text"].numpy().tolist() == tokenizer.decode(ids).numpy().tolist()
    assert answer["pieces"].numpy().tolist() == tokenizer.pieces(answer["ids"]).numpy().tolist()


@pytest.mark.parametrize(
    ("name", "content", "received"),
    [("a.json", {"kind": "wrods"}, "'wrods'"), ("a.json", [7], "None"), ("a.txt", {"kind": "words"}, "None")],
)
def test_files_that_are_no_tokenizer(tmp_path, name, content, received):
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=rf"is no tokenizer. Expected .*characters, words, bytes. Received: kind {received}"
    ):
        load_tokenizer(tmp_path / name)
