"""A run goes on with the pairs that it began with, or says that they have changed."""

import pytest

from keras_attn.training.data.split import PairsSplit
from keras_attn.training.errors import RunError
from keras_attn.training.run.pair_digests import has_changed, hold_pairs
from keras_attn.training.run.run_folder import RunFolder

PAIRS = PairsSplit([("a", "b"), ("c", "d")], [("e", "f")], [("g", "h")])
CHANGED = PAIRS._replace(test=[("g", "i")])


@pytest.fixture
def run(recipe_of, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.begin(recipe_of())
    return run


def test_the_same_pairs_go_on(run):
    assert not has_changed(run, "test", CHANGED.test)  # nobody has written down which they were
    hold_pairs(run, PAIRS)
    hold_pairs(run, PAIRS)
    assert not has_changed(run, "test", PAIRS.test)


@pytest.mark.parametrize(
    "moved", [PAIRS._replace(train=[("ab", ""), ("c", "d")]), PAIRS._replace(train=PAIRS.train[::-1])]
)
def test_where_a_text_ends_and_its_place_count(run, moved):
    hold_pairs(run, PAIRS)
    assert has_changed(run, "train", moved.train)
    assert not has_changed(run, "validation", moved.validation)


def test_other_pairs_are_refused_once_something_is_trained(run):
    hold_pairs(run, PAIRS)
    (run.path / "history.json").write_text('[{"epoch": 1}]')
    with pytest.raises(RunError, match="The test pairs are not those that"):
        hold_pairs(run, CHANGED)
    assert has_changed(run, "test", CHANGED.test)


def test_before_that_they_are_taken_and_the_tokenizers_made_anew(run):
    hold_pairs(run, PAIRS)
    (run.path / "tokenizer").mkdir()
    hold_pairs(run, CHANGED)
    assert not has_changed(run, "test", CHANGED.test)
    assert not (run.path / "tokenizer").exists()
