"""Text in, text out: scores are those of the full pass, alignments, empty and too long texts."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText, models
from keras_attn.decoding import decode
from keras_attn.text_to_text import TextTooLongError
from keras_attn.tokenizers import CharacterTokenizer

from .conftest import tiny_text_to_text

TEXTS = ["안녕하세요 세계", "Grüße aus Köln!", "", "ein Hund läuft", "漢字 🙂", "x"]
EMPTY = TEXTS.index("")
LIMIT = 67  # of the fixture
LEARNED = {"positions": "learned"}


@pytest.fixture(scope="module", params=["characters", "sentencepiece"])
def text_to_text(request, tokenizers):
    """The model of the other tests, here always between tokenizers of each kind."""
    return tiny_text_to_text(getattr(tokenizers, request.param))


@pytest.fixture(scope="module")
def sources(text_to_text):
    """The ids that the model is given, `[B, S]`, made in plain NumPy."""
    rows = [[*row, 2] for row in text_to_text.source_tokenizer.encode(tf.constant(TEXTS)).to_list()]
    longest = max(map(len, rows))
    return np.array([row + [0] * (longest - len(row)) for row in rows], np.int32)


@pytest.fixture(scope="module")
def decoded(text_to_text, sources):
    return decode(
        text_to_text.model,
        sources,
        start_id=1,
        end_id=2,
        max_length=text_to_text.max_length,
        return_alignments=True,
    )


def test_call_is_translate_on_lists(text_to_text):
    translated = text_to_text.translate(tf.constant(TEXTS))
    assert text_to_text(TEXTS) == [text.decode() for text in translated["text"].numpy()]
    assert translated["text"].shape == translated["score"].shape == (len(TEXTS),)
    assert translated["score"].dtype == tf.float32


def test_translations_and_alignments_from_decoding_once(text_to_text):
    both = text_to_text.translate_and_align(TEXTS)
    expected = text_to_text.translate(TEXTS) | text_to_text.align(TEXTS)
    assert both.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype == tf.string:
            np.testing.assert_array_equal(both[name], value)
        else:
            np.testing.assert_allclose(both[name], value, rtol=1e-5, atol=1e-6)


def test_texts_are_what_the_loop_returns(text_to_text, decoded):
    rows = [[token for token in row if token > 2] for row in decoded.tokens[:, 0].numpy().tolist()]
    rows[EMPTY] = []
    expected = text_to_text.target_tokenizer.decode(tf.ragged.constant(rows, dtype=tf.int32))
    assert text_to_text(TEXTS) == [text.decode() for text in expected.numpy()]
    assert len(set(text_to_text(TEXTS))) > 3  # the toy model does listen to its input


def test_scores_are_those_of_the_full_pass_at_the_returned_tokens(text_to_text, sources, decoded):
    tokens = decoded.tokens[:, 0].numpy()
    assert set(decoded.finished[:, 0].numpy()) == {True, False}  # both kinds are scored below
    target = np.pad(tokens[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    log_probs = tf.nn.log_softmax(text_to_text.model({"source": sources, "target": target})).numpy()
    chosen = np.take_along_axis(log_probs, tokens[..., None], axis=-1)[..., 0]
    counted = np.arange(tokens.shape[1]) < decoded.lengths.numpy()
    expected = (chosen * counted).sum(axis=1)
    expected[EMPTY] = 0
    np.testing.assert_allclose(text_to_text.translate(tf.constant(TEXTS))["score"], expected, rtol=1e-4)


@pytest.mark.parametrize("text", ["", " ", "\u3000\n"])
def test_empty_text_gives_nothing_for_sure(text_to_text, text):
    translated = text_to_text.translate(tf.constant([text, "x"]))
    assert translated["text"].numpy()[0] == b""
    assert translated["score"].numpy()[0] == 0
    assert translated["score"].numpy()[1] < 0


def test_an_empty_batch_gives_an_empty_batch(text_to_text):
    none = tf.constant([], tf.string)
    assert text_to_text([]) == []
    translated, aligned = text_to_text.translate(none), text_to_text.align(none)
    assert translated["text"].shape == translated["score"].shape == (0,)
    assert {name: x.shape.rank for name, x in aligned.items()} == {
        "source_pieces": 2,
        "target_pieces": 2,
        "alignment": 3,
    }
    assert all(x.shape[0] == 0 for x in aligned.values())


def test_the_order_and_company_of_texts_change_nothing(text_to_text):
    together = text_to_text.translate(tf.constant(TEXTS))
    for index, text in enumerate(TEXTS):
        alone = text_to_text.translate(tf.constant([text]))
        assert alone["text"].numpy()[0] == together["text"].numpy()[index]
        np.testing.assert_allclose(alone["score"][0], together["score"][index], rtol=1e-5)


def test_alignments(text_to_text, decoded):
    aligned = text_to_text.align(tf.constant(TEXTS))
    alignment = aligned["alignment"].numpy()
    np.testing.assert_allclose(alignment, decoded.alignments[:, 0], rtol=1e-5, atol=1e-7)
    for row, length in enumerate(decoded.lengths[:, 0].numpy()):
        np.testing.assert_allclose(alignment[row, :length].sum(axis=-1), 1, rtol=1e-5)
        assert (alignment[row, length:] == 0).all()
        source_length = np.count_nonzero(aligned["source_pieces"].numpy()[row] != b"")
        assert (alignment[row, :, source_length:] == 0).all()


def test_pieces(text_to_text, sources, decoded):
    aligned = text_to_text.align(tf.constant(TEXTS))
    tokenizer = text_to_text.source_tokenizer
    for row, ids in enumerate(sources):
        known = tokenizer.pieces(ids[ids > 2]).numpy().tolist()
        pieces = [*known, b"</s>"]
        pieces += [b""] * (len(ids) - len(pieces))
        assert aligned["source_pieces"].numpy()[row].tolist() == pieces
    ended = (aligned["target_pieces"].numpy() == b"</s>").any(axis=1)
    np.testing.assert_array_equal(ended, decoded.finished[:, 0])


def test_source_and_target_have_tokenizers_of_their_own(tokenizers, tiny_model):
    digits = CharacterTokenizer("0123456789")
    model = tiny_model(tokenizers.characters.vocabulary_size, target_vocabulary_size=digits.vocabulary_size)
    texts = TextToText(model, tokenizers.characters, digits, max_length=7)(TEXTS)
    assert set("".join(texts)) <= set("0123456789\ufffd")
    assert len("".join(texts)) > 0


@pytest.mark.parametrize("function", ["translate", "align"])
def test_too_many_tokens(text_to_text, function):
    texts = tf.constant([("세계 Hunde " * LIMIT)[:length] for length in range(LIMIT * 3)])
    lengths = text_to_text.source_tokenizer.encode(texts).row_lengths().numpy()
    longer = int(np.argmax(lengths > LIMIT))  # the first that is too long
    assert LIMIT - 2 <= lengths[longer - 1] <= LIMIT < lengths[longer]
    assert getattr(text_to_text, function)(texts[longer - 1 : longer])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=f"`text` is too long: expected at most {LIMIT} tokens.*Split it"
    ):
        getattr(text_to_text, function)(texts[longer : longer + 1])


def test_too_many_bytes_are_refused_before_they_are_split(text_to_text):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"`text` is too long: expected at most {LIMIT * 64} bytes"
    ):
        text_to_text.translate(tf.constant(["x" * (LIMIT * 64 + 1)]))


def test_too_long_text_is_a_plain_error_of_the_call(text_to_text):
    with pytest.raises(
        TextTooLongError, match=rf"^`text` is too long: expected at most {LIMIT} tokens.* \d+$"
    ):
        text_to_text(["x", "漢x" * LIMIT])


@pytest.mark.parametrize("wrong", [[3], ["a", None], [["a", "b"]]])
@pytest.mark.parametrize("function", ["__call__", "translate", "align"])
def test_what_is_no_text_is_refused(text_to_text, function, wrong):
    with pytest.raises(TypeError, match=r"must be a list of strings. Received: .* in it\."):
        getattr(text_to_text, function)(wrong)
    for tensor in (tf.constant([3]), tf.constant("a"), tf.constant([["a"]])):
        with pytest.raises(TypeError, match=r"must be strings \[B\]. Received: a tensor of"):
            getattr(text_to_text, function)(tensor)


def test_texts_in_any_vessel(text_to_text):
    expected = text_to_text(TEXTS)
    for texts in (tf.constant(TEXTS), np.array(TEXTS), np.array(TEXTS, object), tuple(TEXTS)):
        assert text_to_text(texts) == expected


def test_methods_of_an_object_that_nothing_else_holds(text_to_text):
    def made():
        tokenizer = text_to_text.source_tokenizer
        return TextToText(text_to_text.model, tokenizer, text_to_text.target_tokenizer, max_length=5)

    assert made().translate(["x"])["text"].shape == made().align(["x"])["alignment"].shape[:1] == (1,)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"ab\xc3", b"\xed\xa0\x80 x", b"a\x00b"])
def test_invalid_utf8_is_translated_to_valid_text(text_to_text, data):
    translated = text_to_text.translate(tf.constant([data, b"x"]))
    assert all(text.decode("utf-8") is not None for text in translated["text"].numpy())
    assert np.isfinite(translated["score"]).all()


@pytest.mark.parametrize("function", ["__call__", "translate", "align"])
def test_a_lone_string_is_no_list_of_texts(text_to_text, function):
    with pytest.raises(TypeError, match=r"must be a list of strings.* Write \[text\]"):
        getattr(text_to_text, function)("Guten Morgen.")


@pytest.mark.parametrize(
    ("name", "changes", "fitting"),
    [
        ("ConvolutionalSeq2Seq", {"max_source_length": 9, "max_target_length": 7}, (8, 7)),
        ("TransformerSeq2Seq", LEARNED | {"position_options": {"max_length": 9}}, (8, 9)),
        ("TransformerSeq2Seq", {"positions": "sinusoidal"}, (20, 10)),
        ("TransformerLanguageModel", LEARNED | {"position_options": {"max_length": 17}}, (6, 10)),
    ],
)
def test_texts_are_no_longer_than_the_table_of_positions(tokenizers, name, changes, fitting):
    tokenizer = tokenizers.characters
    sizes = [tokenizer.vocabulary_size] * (1 if name == "TransformerLanguageModel" else 2)
    layers = {
        "ConvolutionalSeq2Seq": {"encoder_convolutions": [(4, 3)], "decoder_convolutions": [(4, 3)]},
        "TransformerSeq2Seq": {"num_encoder_layers": 1, "num_decoder_layers": 1},
        "TransformerLanguageModel": {"num_layers": 1},
    }[name]
    small = layers | {"embedding_dim": 4} | ({} if "Conv" in name else {"num_heads": 2, "hidden_dim": 5})
    model = getattr(models, name)(*sizes, **small, **changes)
    made = TextToText(model, tokenizer, tokenizer, max_length=10, max_source_length=20)
    assert (made.max_source_length, made.max_length) == fitting
    longest = "x" * fitting[0]
    assert len(made([longest])) == 1
    with pytest.raises(TextTooLongError):
        made([longest + "x"])


def test_no_room_for_any_source(tokenizers):
    tokenizer, options = tokenizers.characters, {"max_length": 11}
    model = models.TransformerLanguageModel(
        tokenizer.vocabulary_size,
        num_layers=1,
        embedding_dim=4,
        num_heads=2,
        hidden_dim=5,
        positions="learned",
        position_options=options,
    )
    with pytest.raises(ValueError, match="`max_length` is too much for the model's table of positions"):
        TextToText(model, tokenizer, tokenizer, max_length=10)
