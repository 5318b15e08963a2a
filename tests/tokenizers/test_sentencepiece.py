"""SentencePieceTokenizer: against the sentencepiece library, round trips through odd text, files."""

import io

import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.tokenizers import SentencePieceTokenizer

TEXTS = [
    "안녕하세요 세계",
    "漢字と仮名が 混ざる文",
    "Grüße aus Köln!",
    "🙂 smile 👩‍🚀",
    "the cat sat on the mat",
    "2 500 steps",
    "שלום עולם",
]


@pytest.fixture(scope="module", params=["unigram", "bpe", "bytes"])
def tokenizer(request):
    if request.param == "bytes":
        return SentencePieceTokenizer.train(TEXTS * 5, 353, byte_fallback=True)
    return SentencePieceTokenizer.train(TEXTS * 5, 83, model_type=request.param)


@pytest.fixture(scope="module")
def library(tokenizer):
    return sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model_proto)


@pytest.fixture(scope="module")
def spelling():
    """Knows two letters and spells the rest as bytes, whose ids are 4 to 259."""
    return SentencePieceTokenizer.train(["ab ba ab"] * 5, 271, byte_fallback=True)


def encode(tokenizer, *texts):
    return tokenizer.encode(tf.constant(texts, tf.string))


def decode(tokenizer, ids):
    return [text.decode() for text in tokenizer.decode(ids).numpy()]


def test_ids_are_those_of_the_library(tokenizer, library):
    texts = [*TEXTS, "a new sentence", "Köln sat\u202fon", "미지 문자 ㅋㅋ", ""]
    ids = encode(tokenizer, *texts)
    assert ids.dtype == tf.int32
    assert ids.to_list() == [library.encode(text) for text in texts]
    assert tokenizer.vocabulary_size == library.get_piece_size()


def test_special_ids(library):
    assert [library.pad_id(), library.bos_id(), library.eos_id(), library.unk_id()] == [0, 1, 2, 3]


def test_round_trip(tokenizer):
    ids = encode(tokenizer, *TEXTS)
    assert (ids.values.numpy() > 3).all()
    assert decode(tokenizer, ids) == TEXTS


def test_narrow_spaces_are_normalised_as_the_library_does(tokenizer, library):
    text = "2\u202f500\u3000steps\u00a0"
    assert (
        decode(tokenizer, encode(tokenizer, text))
        == [library.decode(library.encode(text))]
        == ["2 500 steps"]
    )


@pytest.mark.parametrize("text", ["", " ", "\u3000\u202f"])
def test_text_without_pieces_has_no_ids(tokenizer, text):
    ids = encode(tokenizer, text)
    assert ids.to_list() == [[]]
    assert decode(tokenizer, ids) == [""]


def test_an_empty_batch(tokenizer):
    ids = encode(tokenizer)
    assert ids.shape[0] == 0
    assert decode(tokenizer, ids) == []


def test_unknown_characters(spelling):
    plain = SentencePieceTokenizer.train(["ab ba ab"] * 5, 11)
    (ids,) = encode(plain, "ab각ab").to_list()
    assert 3 in ids
    assert "\u2047" in decode(plain, tf.ragged.constant([ids], dtype=tf.int32))[0]
    ids = encode(spelling, "ab각🙂")
    assert 3 not in ids.to_list()[0]
    assert decode(spelling, ids) == ["ab각🙂"]


@given(data=st.binary(max_size=23))
def test_any_bytes_are_taken(tokenizers, data):
    tokenizer = tokenizers.sentencepiece
    ids = encode(tokenizer, data)
    assert all(3 <= number < tokenizer.vocabulary_size for number in ids.to_list()[0])
    assert isinstance(decode(tokenizer, ids)[0], str)


@given(ids=st.lists(st.integers(0, 259), min_size=1, max_size=13))
def test_any_ids_are_written_as_valid_text(spelling, ids):
    """A model may write bytes in any order: what comes out is UTF-8 all the same."""
    assert isinstance(decode(spelling, tf.ragged.constant([ids], dtype=tf.int32))[0], str)


def test_pieces_keep_the_shape_and_leave_special_ones_empty(tokenizer, library):
    known = library.encode("the cat")[:2]
    names = [library.id_to_piece(number).encode() for number in known]
    dense = tokenizer.pieces(tf.constant([[1, known[0]], [known[1], 2], [3, 0]]))
    unknown = library.id_to_piece(3).encode()
    assert dense.numpy().tolist() == [[b"", names[0]], [names[1], b""], [unknown, b""]]
    ragged = tokenizer.pieces(tf.ragged.constant([known, [], [2]], dtype=tf.int32))
    assert ragged.to_list() == [names, [], [b""]]


def test_setting_a_seed_does_not_lose_the_model(tokenizer, library):
    graph = tf.function(tokenizer.encode)
    graph(tf.constant(TEXTS))
    tf.random.set_seed(3)  # clears TensorFlow's kernels, and with them the resources that belong to them
    expected = [library.encode(text) for text in TEXTS]
    assert encode(tokenizer, *TEXTS).to_list() == expected
    assert graph(tf.constant(TEXTS)).to_list() == expected


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target.model"]
    again = SentencePieceTokenizer.load(tmp_path / "target")
    assert again.model_proto == tokenizer.model_proto
    assert encode(again, *TEXTS).to_list() == encode(tokenizer, *TEXTS).to_list()


def test_training_is_deterministic():
    one, other = (SentencePieceTokenizer.train(TEXTS * 5, 83) for _ in range(2))
    assert encode(one, *TEXTS).to_list() == encode(other, *TEXTS).to_list()
    assert one.vocabulary_size == other.vocabulary_size


def test_a_vocabulary_larger_than_the_text_gives_is_made_smaller():
    assert SentencePieceTokenizer.train(["ab ba ab"] * 5, 1009).vocabulary_size < 23


def test_a_model_with_other_special_ids_is_refused():
    model = io.BytesIO()
    options = {"vocab_size": 83, "hard_vocab_limit": False, "minloglevel": 2}
    sentences = iter(TEXTS * 5)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=sentences, model_writer=model, **options)
    with pytest.raises(
        ValueError, match=r"must have .* ids \(0, 1, 2, 3\). Received: \(-1, 1, 2, 0\). Train it"
    ):
        SentencePieceTokenizer(model.getvalue())
