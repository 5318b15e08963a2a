"""Scores are sacreBLEU's own, and translations stay in the order of the pairs."""

import numpy as np
import pytest
import sacrebleu

from keras_attn.training.evaluation.evaluate import corpus_scores, evaluate
from keras_attn.training.evaluation.translation import translate_all
from keras_attn.training.recipe.monitors import SCORES

PAIRS = [
    ("the first one", "das erste"),
    ("a", "der zweite Satz ist lang"),
    ("", "leer"),
    ("안녕 세계", "hallo schöne neue Welt"),
    ("the longest source of all of them", "der Hund läuft über die Straße"),
]
ANSWERS = {
    "the first one": "das erste",
    "a": "der zweite Satz war lang",
    "": "",
    "안녕 세계": "hallo schöne Welt",
    "the longest source of all of them": "der Hund läuft über die Straße",
}


class LookUp:
    """A translator that knows its answers and records its batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, texts):
        self.batches.append(texts)
        return [ANSWERS[text] for text in texts]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_translations_are_in_the_order_of_the_texts(batch_size):
    look_up, texts = LookUp(), [source for source, _ in PAIRS]
    assert translate_all(look_up, texts, batch_size) == [ANSWERS[text] for text in texts]
    assert max(map(len, look_up.batches)) == min(batch_size, 5)
    assert [len(text) for batch in look_up.batches for text in batch] == sorted(map(len, texts))


def test_no_texts():
    assert translate_all(LookUp(), []) == []


def test_equal_texts_stay_apart():
    assert translate_all(LookUp(), ["a", "", "a"], 2) == [ANSWERS["a"], "", ANSWERS["a"]]


def test_tokenized_text_is_no_surprise_where_no_tokenizer_is_asked_for(caplog):
    lines = ["a line of words ."] * 120
    corpus_scores(lines, lines, "none")
    assert not caplog.records
    corpus_scores(lines, lines, "13a")
    assert "tokenized period" in caplog.text


@pytest.mark.parametrize("tokenize", ["13a", "char", "none"])
def test_scores_are_those_of_sacrebleu(tokenize):
    scores, translations = evaluate(LookUp(), PAIRS, tokenize, batch_size=2)
    assert translations == [ANSWERS[source] for source, _ in PAIRS]
    references = [[reference for _, reference in PAIRS]]
    bleu = sacrebleu.corpus_bleu(translations, references, tokenize=tokenize).score
    chrf = sacrebleu.corpus_chrf(translations, references).score
    assert 0 < scores["bleu"] < 100
    assert scores["bleu"] == pytest.approx(bleu, abs=0.005)
    assert scores["chrf"] == pytest.approx(chrf, abs=0.005)
    assert f"tok:{tokenize}" in scores["bleu_signature"]
    assert "chrF2" in scores["chrf_signature"] or "nc:6" in scores["chrf_signature"]


def test_the_table_names_all_scores():
    scores = corpus_scores(["a b"], ["a c"])
    assert [name for name in scores if not name.endswith("_signature")] == list(SCORES)


def test_exact_match_and_counts():
    scores, _ = evaluate(LookUp(), PAIRS)
    assert scores["exact_match"] == 2 / 5
    assert scores["pairs"] == 5
    assert np.isfinite(scores["seconds"])


def test_all_spaces_count_alike_in_an_exact_match():
    assert corpus_scores(["a b", "ab"], [" a  b\u3000", "a b"])["exact_match"] == 0.5


def test_a_real_model_gives_the_same_in_batches_of_any_size(finished):
    text_to_text = finished.run.text_to_text()
    texts = [source for source, _ in PAIRS] + ["rot 3", "blau"]
    together = text_to_text(texts)
    for batch_size in (1, 3, 11):
        assert translate_all(text_to_text, texts, batch_size) == together
