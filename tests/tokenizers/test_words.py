"""WordTokenizer: ids by frequency, spaces as Python splits them, unknown words, files, graphs."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.tokenizers import WordTokenizer

TEXTS = ["ein Hund läuft .", "안녕 세계 !", "🙂 👩‍🚀 e\u0301", "don 't &amp; @-@"]


@pytest.fixture(scope="module")
def tokenizer():
    return WordTokenizer.train(TEXTS, 997)


def encode(tokenizer, *texts):
    return tokenizer.encode(tf.constant(texts, tf.string))


def decode(tokenizer, ids):
    return [text.decode() for text in tokenizer.decode(ids).numpy()]


def test_ids_by_hand():
    tokenizer = WordTokenizer(["a", "dog", "."])
    assert tokenizer.vocabulary_size == 7
    ids = encode(tokenizer, "a dog .", "", "dog")
    assert ids.dtype == tf.int32
    assert ids.to_list() == [[4, 5, 6], [], [5]]


@pytest.mark.parametrize(
    ("size", "minimum_count", "expected"),
    [
        (97, 1, ("b", "a", "c", "A", "d")),  # by frequency, then by code point
        (97, 2, ("b", "a", "c")),
        (97, 3, ("b",)),
        (97, 5, ()),
        (4 + 2, 1, ("b", "a")),
        (3, 1, ()),
    ],
)
def test_training_takes_the_most_frequent_words(size, minimum_count, expected):
    lines = ["d A c b", "b a\u3000b", " c\ta ", "<unk> <unk> <unk>"]
    assert WordTokenizer.train(lines, size, minimum_count).vocabulary == expected


def test_round_trip(tokenizer):
    ids = encode(tokenizer, *TEXTS)
    assert (ids.values.numpy() > 3).all()
    assert decode(tokenizer, ids) == TEXTS


def test_unknown_words_become_one_id_and_are_written_as_a_mark():
    tokenizer = WordTokenizer(["a", "dog"])
    ids = encode(tokenizer, "a Dog barks", "dogs")
    assert ids.to_list() == [[4, 3, 3], [3]]
    assert decode(tokenizer, ids) == ["a <unk> <unk>", "<unk>"]
    assert encode(tokenizer, "<unk>").to_list() == [[3]]


def test_special_ids_write_nothing_not_even_a_space():
    tokenizer = WordTokenizer(["a", "dog"])
    ids = tf.ragged.constant([[1, 4, 5, 2, 0, 0], [0, 4, 0, 5], [2], []], dtype=tf.int32)
    assert decode(tokenizer, ids) == ["a dog", "a dog", "", ""]


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000\u202f\x1c"])
def test_text_without_words_has_no_ids(tokenizer, text):
    assert encode(tokenizer, text).to_list() == [[]]


def test_an_empty_batch(tokenizer):
    ids = encode(tokenizer)
    assert ids.shape[0] == 0
    assert decode(tokenizer, ids) == []


def test_an_empty_vocabulary_knows_nothing():
    assert encode(WordTokenizer([]), "a b", "").to_list() == [[3, 3], []]


@given(st.text(max_size=17))
def test_any_text_is_split_as_python_splits_it(text):
    text = text.encode("utf-8", "replace").decode()  # half a character is no UTF-8
    words = text.split()
    tokenizer = WordTokenizer(sorted(set(words)))
    assert decode(tokenizer, encode(tokenizer, text)) == [" ".join(words)]


def test_invalid_bytes_count_as_the_replacement_character():
    assert encode(WordTokenizer(["a\ufffd", "b"]), b"a\xff b").to_list() == [[4, 5]]


def test_pieces_keep_the_shape():
    tokenizer = WordTokenizer(["a", "dog"])
    dense = tokenizer.pieces(np.array([[1, 4, 3], [5, 2, 0]], np.int32))
    assert dense.numpy().tolist() == [[b"", b"a", b"<unk>"], [b"dog", b"", b""]]
    ragged = tokenizer.pieces(tf.ragged.constant([[4], [], [5, 4]], dtype=tf.int32))
    assert ragged.to_list() == [[b"a"], [], [b"dog", b"a"]]


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "source")
    assert [path.name for path in tmp_path.iterdir()] == ["source.json"]
    again = WordTokenizer.load(tmp_path / "source")
    assert again.vocabulary == tokenizer.vocabulary
    assert encode(again, *TEXTS).to_list() == encode(tokenizer, *TEXTS).to_list()


@pytest.mark.parametrize("entry", ["", "a b", " a", "a\u3000"])
def test_entries_that_are_no_word(entry):
    with pytest.raises(ValueError, match=r"`vocabulary` must hold words. Expected strings without spaces"):
        WordTokenizer(["a", entry])


def test_repeated_entries():
    with pytest.raises(ValueError, match=r"`vocabulary` must not repeat an entry.*'dog'"):
        WordTokenizer(["a", "dog", "dog"])
