"""Evaluation of a run from Python."""

import json
import shutil

import pytest

import keras_attn
from keras_attn.training import RunError, RunFolder, evaluate_run


@pytest.fixture
def copied(finished, tmp_path):
    return RunFolder(shutil.copytree(finished.run.path, tmp_path / "copy"))


def test_scores_are_returned_and_kept(copied):
    lines = []
    scores = evaluate_run(copied.path, beam_size=2, max_length=5, report=lines.append)
    assert lines == ["Translating 5 test pairs"]
    assert {"checkpoint": "best", "beam_size": 2, "max_length": 5, "pairs": 5}.items() <= scores.items()
    assert json.loads((copied.path / "scores.json").read_text()) == {"test": scores}
    assert len(copied.translations("test")) == sum(row["pairs"] for row in scores["by_length"]) == 5
    assert evaluate_run(copied, part="validation", report=lines.append)["pairs"] == 7


def test_pairs_that_may_have_been_trained_on(copied):
    held = json.loads((copied.path / "pairs.json").read_text())
    copied.write_text("pairs.json", json.dumps(held | {"test": "of other pairs"}))
    with pytest.raises(RunError, match=r"test pairs are held out of data.train, which has changed"):
        evaluate_run(copied)


def test_public_names():
    training = keras_attn.training
    assert all(getattr(training, name) for name in training.__all__)
    assert dir(training) == training.__all__
