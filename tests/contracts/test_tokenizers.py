"""Contract of every kind of tokenizer: trained by options, read again from its file, the same in a graph."""

import json

import pytest
import tensorflow as tf

import keras_attn
from keras_attn.tokenizers import ByteTokenizer, load_tokenizer, register_tokenizer
from keras_attn.tokenizers.kinds import tokenizer_class, tokenizer_kinds
from keras_attn.training.recipe.recipe import Tokenizer
from keras_attn.training.run.tokenizers import train_tokenizer

LINES = ["ein Hund läuft .", "안녕 세계", "🙂 e\u0301 ."] * 3
TEXTS = ["ein Hund", "", "unbekannt 세계 ?", " \u3000", "läuft  läuft . \u4e00"]


@pytest.fixture(scope="module", params=tokenizer_kinds())
def tokenizer(request):
    return train_tokenizer(Tokenizer(kind=request.param, vocabulary_size=41), LINES)


def test_the_table_and_the_class_agree(tokenizer):
    assert type(tokenizer) is tokenizer_class(tokenizer.kind)
    assert getattr(keras_attn.tokenizers, type(tokenizer).__name__) is type(tokenizer)


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
        ValueError,
        match=rf"is not a tokenizer. Expected .*{', '.join(tokenizer_kinds())}. Received: kind {received}",
    ):
        load_tokenizer(tmp_path / name)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("words", ".txt"), ("own", ".model")], ids=["kind taken", "suffix taken"]
)
def test_built_in_kinds_cannot_be_replaced(kind, suffix):
    own = type("Own", (ByteTokenizer,), {"kind": kind, "suffix": suffix})
    with pytest.raises(ValueError, match=f"are built in.* Received: kind='{kind}', suffix='{suffix}'"):
        register_tokenizer(own)


def test_a_class_that_is_not_a_tokenizer():
    class Half(tf.Module):
        kind = "half"

        def encode(self, text):
            return text

    with pytest.raises(
        TypeError, match=r"Half is not a tokenizer.* Missing: train, decode, pieces, save, load"
    ):
        register_tokenizer(Half)


def test_an_unknown_kind():
    with pytest.raises(ValueError, match=r"`kind` is unknown. Expected one of sentencepiece, .* 'wrods'"):
        tokenizer_class("wrods")
