"""A Transformer run as CTranslate2 takes it: the same text from text."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export.ctranslate2 import export_ctranslate2, vocabulary
from keras_attn.models import TransformerSeq2Seq
from keras_attn.tokenizers import CharacterTokenizer

TEXTS = ["ab", "cab c", "b", "ccc"]


@pytest.fixture(scope="module")
def text_to_text():
    tokenizer = CharacterTokenizer(" abc")
    rng = np.random.default_rng(7)
    model = TransformerSeq2Seq(
        8,
        8,
        num_encoder_layers=1,
        num_decoder_layers=1,
        embedding_dim=6,
        num_heads=2,
        hidden_dim=11,
        dropout=0.0,
    )
    for weight in model.trainable_weights:
        numbers, matrix = rng.normal(size=weight.shape), len(weight.shape) == 2
        weight.assign(numbers * (1.5 * weight.shape[0] ** -0.5) if matrix else weight + 0.1 * numbers)
    return TextToText(model, tokenizer, tokenizer, max_length=7, max_source_length=11)


def test_a_vocabulary_has_a_string_of_its_own_for_every_id(tokenizers):
    assert vocabulary(CharacterTokenizer(" ab")) == ["<pad>", "<s>", "</s>", "<unk>", " ", "a", "b"]
    for tokenizer in (tokenizers.characters, tokenizers.sentencepiece):
        strings = vocabulary(tokenizer)
        assert len(set(strings)) == len(strings) == tokenizer.vocabulary_size


def test_ctranslate2_writes_the_same_text(text_to_text, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is an independent implementation")
    path = export_ctranslate2(text_to_text, tmp_path / "model")
    assert path == tmp_path / "model" / "1"
    translator = ctranslate2.Translator(str(path), compute_type="float32", intra_threads=1)
    tokenizer = CharacterTokenizer.load(path / "source")
    strings = vocabulary(tokenizer)
    sources = [[strings[i] for i in row] + ["</s>"] for row in tokenizer.encode(tf.constant(TEXTS)).to_list()]
    results = translator.translate_batch(
        sources, beam_size=1, length_penalty=0, min_decoding_length=0, max_decoding_length=7
    )
    ids = [[strings.index(token) for token in result.hypotheses[0]] for result in results]
    texts = tokenizer.decode(tf.ragged.constant(ids, dtype=tf.int32)).numpy()
    assert [text.decode() for text in texts] == text_to_text(TEXTS)
    assert len(set(text_to_text(TEXTS))) > 1


def test_versions_count_up_and_nothing_is_left_of_what_fails(text_to_text, tmp_path):
    pytest.importorskip("ctranslate2", reason="it writes the model")
    assert export_ctranslate2(text_to_text, tmp_path / "model", version=3).name == "3"
    other = TextToText(object(), text_to_text.source_tokenizer, text_to_text.target_tokenizer)
    with pytest.raises(ValueError, match="CTranslate2 runs Transformers alone"):
        export_ctranslate2(other, tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["3"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
