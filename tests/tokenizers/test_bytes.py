"""ByteTokenizer: every text comes back byte for byte, and what is no UTF-8 is replaced."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.tokenizers import ByteTokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return ByteTokenizer()


def encode(tokenizer, *texts):
    return tokenizer.encode(tf.constant(texts, tf.string))


def decode(tokenizer, *rows):
    ids = tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1)
    return [text.decode() for text in tokenizer.decode(ids).numpy()]


def test_ids_by_hand(tokenizer):
    assert tokenizer.vocabulary_size == 260
    ids = encode(tokenizer, "aA", "", "가")
    assert ids.dtype == tf.int32
    assert ids.to_list() == [[0x61 + 4, 0x41 + 4], [], [0xEA + 4, 0xB0 + 4, 0x80 + 4]]


@given(st.lists(st.text(max_size=11), max_size=5))
def test_any_text_comes_back_unchanged(texts):
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    tokenizer = ByteTokenizer()
    rows = encode(tokenizer, *texts).to_list()
    assert rows == [[byte + 4 for byte in text.encode()] for text in texts]
    assert decode(tokenizer, *rows) == texts


def test_spaces_and_line_breaks_stay(tokenizer):
    text = " a\r\n\u3000 \tb "
    assert decode(tokenizer, *encode(tokenizer, text).to_list()) == [text]


@given(st.binary(max_size=13))
def test_any_bytes_are_taken_and_utf_8_is_written(data):
    tokenizer = ByteTokenizer()
    (row,) = encode(tokenizer, data).to_list()
    assert row == [byte + 4 for byte in data]
    (text,) = decode(tokenizer, row)
    if "\ufffd" not in text:
        assert text.encode() == data


def test_a_character_that_was_cut(tokenizer):
    assert decode(tokenizer, [0x61 + 4, 0xEA + 4, 0xB0 + 4]) == ["a\ufffd"]


def test_special_ids_write_nothing_but_the_unknown_one(tokenizer):
    assert decode(tokenizer, [1, 0x61 + 4, 3, 2, 0, 0], [], [0]) == ["a\ufffd", "", ""]


def test_an_empty_batch(tokenizer):
    ids = encode(tokenizer)
    assert ids.shape[0] == 0
    assert tokenizer.decode(ids).numpy().tolist() == []


def test_pieces_are_printable_and_differ(tokenizer):
    ids = np.array([[1, 0x61 + 4, 0x20 + 4], [0xEC + 4, 3, 0]], np.int32)
    assert tokenizer.pieces(ids).numpy().tolist() == [[b"", b"a", b" "], [b"<0xEC>", "\ufffd".encode(), b""]]
    assert len(set(tokenizer.pieces(np.arange(3, 260)).numpy())) == 257


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target.json"]
    assert encode(ByteTokenizer.load(tmp_path / "target"), "é").to_list() == encode(tokenizer, "é").to_list()
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        ByteTokenizer.load(tmp_path / "other")
