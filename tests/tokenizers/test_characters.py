"""CharacterTokenizer: ids, round trips through odd text, what is unknown, files."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.tokenizers import CharacterTokenizer

# Hangul as syllables and as jamo, Kanji, emoji, one of them joined, a combining accent, RTL, a soft hyphen.
TEXTS = [
    "안녕 세계",
    "\u110b\u1161\u11ab\u1102\u1167\u11bc",
    "漢字と仮名",
    "🙂 👩‍🚀",
    "e\u0301 é",
    "שלום",
    "co\u00adop",
    "a",
    "1990-07-31",
]


@pytest.fixture(scope="module")
def tokenizer():
    return CharacterTokenizer.train(TEXTS, 997)


def encode(tokenizer, *texts):
    return tokenizer.encode(tf.constant(texts, tf.string))


def decode(tokenizer, ids):
    return [text.decode() for text in tokenizer.decode(ids).numpy()]


def test_ids_by_hand():
    tokenizer = CharacterTokenizer("ab c")
    assert tokenizer.vocabulary_size == 8
    ids = encode(tokenizer, "cab", "", "b a")
    assert ids.dtype == tf.int32
    assert ids.to_list() == [[7, 4, 5], [], [5, 6, 4]]


def test_training_takes_the_most_frequent_characters():
    tokenizer = CharacterTokenizer.train(["bbb aaaa", "ccccc", "dd"], 4 + 3)
    assert tokenizer.vocabulary == ("a", "b", "c")
    assert CharacterTokenizer.train(["b", "a", "c"], 6).vocabulary == ("a", "b")  # ties: by code point
    assert CharacterTokenizer.train(["abc"], 2).vocabulary_size == 4


def test_training_sees_the_text_as_encode_does():
    assert CharacterTokenizer.train(["  a\u3000b\t\u202fc\n"], 97).vocabulary == (" ", "a", "b", "c")


def test_round_trip(tokenizer):
    ids = encode(tokenizer, *TEXTS)
    assert (ids.values.numpy() > 3).all()
    assert decode(tokenizer, ids) == TEXTS
    assert ids.row_lengths().numpy().tolist() == [len(text) for text in TEXTS]


def test_every_kind_of_space_becomes_one_space(tokenizer):
    spaced = "\u3000a\u00a0\u202f\t\n \x0b\x0c\r\x85 1\u2003\u2028"
    assert decode(tokenizer, encode(tokenizer, spaced)) == ["a 1"]


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\u202f"])
def test_text_without_characters_has_no_ids(tokenizer, text):
    ids = encode(tokenizer, text)
    assert ids.to_list() == [[]]
    assert decode(tokenizer, ids) == [""]


def test_an_empty_batch(tokenizer):
    ids = encode(tokenizer)
    assert ids.shape[0] == 0
    assert decode(tokenizer, ids) == []


def test_unknown_characters_become_one_id_and_are_written_as_the_replacement_character():
    tokenizer = CharacterTokenizer("ab")
    ids = encode(tokenizer, "a🙂b각")
    assert ids.to_list() == [[4, 3, 5, 3]]
    assert decode(tokenizer, ids) == ["a\ufffdb\ufffd"]


def test_special_ids_write_nothing(tokenizer):
    known = encode(tokenizer, "1990").to_list()[0]
    ids = tf.ragged.constant([[1, *known, 2, 0, 0]], dtype=tf.int32)
    assert decode(tokenizer, ids) == ["1990"]


def test_an_empty_vocabulary_knows_nothing():
    tokenizer = CharacterTokenizer([])
    assert tokenizer.vocabulary_size == 4
    ids = encode(tokenizer, "ab", "")
    assert ids.to_list() == [[3, 3], []]


@given(st.binary(max_size=23))
def test_any_bytes_are_taken(data):
    """Invalid UTF-8 becomes the replacement character; what is valid is what Python reads."""
    tokenizer = CharacterTokenizer("ab c\ufffd")
    (ids,) = encode(tokenizer, data).to_list()
    assert all(3 <= number < tokenizer.vocabulary_size for number in ids)
    (text,) = decode(tokenizer, tf.ragged.constant([ids], dtype=tf.int32, ragged_rank=1))
    assert set(text) <= set("ab c\ufffd")


def test_invalid_bytes_count_as_the_replacement_character():
    tokenizer = CharacterTokenizer("ab\ufffd")
    assert encode(tokenizer, b"a\xffb", b"\xc3").to_list() == [[4, 6, 5], [6]]


@given(st.text(max_size=17))
def test_any_text_of_a_known_alphabet_comes_back_as_python_splits_it(text):
    text = "".join(character for character in text if character.isprintable())
    tokenizer = CharacterTokenizer(sorted({*text, " "}))
    assert decode(tokenizer, encode(tokenizer, text)) == [" ".join(text.split())]


def test_pieces_keep_the_shape():
    tokenizer = CharacterTokenizer("ab")
    dense = tokenizer.pieces(np.array([[1, 4, 3], [5, 2, 0]], np.int32))
    assert dense.numpy().tolist() == [[b"", b"a", "\ufffd".encode()], [b"b", b"", b""]]
    ragged = tokenizer.pieces(tf.ragged.constant([[4], [], [5, 4]], dtype=tf.int32))
    assert ragged.to_list() == [[b"a"], [], [b"b", b"a"]]


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "source")
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]
    again = CharacterTokenizer.load(tmp_path / "source")
    assert again.vocabulary == tokenizer.vocabulary
    assert encode(again, *TEXTS).to_list() == encode(tokenizer, *TEXTS).to_list()


def test_inside_a_saved_graph(tokenizer, tmp_path):
    module = tf.Module()
    module.tokenizer = tokenizer
    module.run = tf.function(lambda text: tokenizer.decode(tokenizer.encode(text)))
    text = tf.TensorSpec([None], tf.string)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.run.get_concrete_function(text))
    run = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    assert [x.decode() for x in run(tf.constant(TEXTS))["output_0"].numpy()] == TEXTS


@pytest.mark.parametrize("entry", ["", "ab", "e\u0301"])
def test_entries_that_are_no_single_character(entry):
    with pytest.raises(ValueError, match=f"`vocabulary` must hold single characters.*{entry!r}"):
        CharacterTokenizer(["a", entry])


def test_repeated_entries():
    with pytest.raises(ValueError, match=r"`vocabulary` must not repeat an entry.*'b'"):
        CharacterTokenizer("abcb")
