"""Paired bootstrap: sacreBLEU's, on what two runs have written."""

import numpy as np
import pytest

from keras_attn.training.errors import RunError
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.training.run_comparison import compare_runs

WORDS = ("rot", "blau", "katze", "hund", "haus", "baum", "zwölf")


@pytest.fixture
def make_run(tmp_path, recipe_of):
    """`make_run(name, share, ...)`: a run that got this share of the words right."""

    def make(name, share, count=53, **changes):
        run = RunFolder(tmp_path / name)
        run.begin(recipe_of(**changes))
        rng = np.random.default_rng(3)
        pairs, translations = [], []
        for index in range(count):
            words = rng.choice(WORDS, 11)
            right = np.random.default_rng((index, 5)).random(11) < share
            pairs.append((f"source {index}", " ".join(words)))
            translations.append(" ".join(np.where(right, words, "falsch")))
        run.save_scores("test", {}, pairs, translations)
        return run

    return make


def test_a_better_system_is_significantly_better(make_run):
    bleu, chrf = compare_runs(make_run("a", 0.8), make_run("b", 0.95), samples=101)
    assert (bleu.metric, chrf.metric) == ("BLEU", "chrF2")
    for one in (bleu, chrf):
        assert one.score > one.baseline + 3
        assert one.p_value < 0.05
        assert one.interval > 0
        assert "seed:12345" in one.signature
        assert "bs:101" in one.signature


def test_the_same_system_is_not(make_run):
    for one in compare_runs(make_run("a", 0.8), make_run("b", 0.8), samples=53):
        assert one.score == one.baseline
        assert one.p_value == 1


def test_other_pairs(make_run):
    with pytest.raises(RunError, match=r"on different test pairs. Expected the same .* 53 and 52 pairs"):
        compare_runs(make_run("a", 0.8), make_run("b", 0.8, count=52))


def test_other_words(make_run):
    message = r"count words differently. Expected the same `evaluation.tokenize`. Received: 13a and char"
    with pytest.raises(RunError, match=message):
        compare_runs(make_run("a", 0.8), make_run("b", 0.8, evaluation__tokenize="char"))


def test_no_translations(make_run):
    run = make_run("a", 0.8)
    with pytest.raises(RunError, match=r"no translations of validation. Run keras-attn evaluate --on valid"):
        compare_runs(run, run, "validation")
