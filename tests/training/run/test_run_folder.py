"""The run folder: what it refuses, what it keeps, which model is the best."""

import errno
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_attn.tokenizers import CharacterTokenizer, SentencePieceTokenizer
from keras_attn.training.errors import RunError
from keras_attn.training.run.run_folder import RunFolder


@pytest.fixture
def run(tmp_path, recipe_of):
    run = RunFolder(tmp_path / "run")
    run.begin(recipe_of())
    return run


class Recorder:
    """Stands in for a model: its file holds its number."""

    def __init__(self, number):
        self.number = number

    optimizer = None

    def save(self, path):
        path.write_text(str(self.number))


def test_begin_writes_the_recipe(run, recipe_of):
    assert run.recipe() == recipe_of()
    assert [path.name for path in run.path.iterdir()] == ["recipe.toml"]


def test_begin_after_a_kill_while_the_recipe_was_written(tmp_path, recipe_of):
    (tmp_path / ".recipe.toml").write_text("[da")
    run = RunFolder(tmp_path)
    run.begin(recipe_of())
    assert run.recipe() == recipe_of()


def test_begin_again_with_the_same_recipe_changes_nothing(run, recipe_of):
    before = (run.path / "recipe.toml").stat().st_mtime_ns
    RunFolder(run.path).begin(recipe_of())
    assert (run.path / "recipe.toml").stat().st_mtime_ns == before


def test_begin_with_another_recipe(run, recipe_of):
    (run.path / "history.json").write_text('[{"epoch": 1}]')
    message = r"holds a run of another recipe \(model.units: 7 != 11; training.epochs: 3 != 5\). Give another"
    with pytest.raises(RunError, match=message):
        RunFolder(run.path).begin(recipe_of(training__epochs=5, model__units=11))
    assert run.recipe() == recipe_of()


def test_a_recipe_that_trained_nothing_is_replaced(run, recipe_of):
    (run.path / "tokenizer").mkdir()
    (run.path / "pairs.json").write_text("{}")
    corrected = recipe_of(training__epochs=5)
    RunFolder(run.path).begin(corrected)
    assert run.recipe() == corrected
    assert [path.name for path in run.path.iterdir()] == ["recipe.toml"]


@pytest.mark.parametrize("changes", [{}, {"training__epochs": 5}])
def test_a_recipe_of_somebody_else_is_not_replaced(run, recipe_of, changes):
    (run.path / "tokenizer").mkdir()
    written = "# my notes\n" + (run.path / "recipe.toml").read_text()
    (run.path / "recipe.toml").write_text(written)
    with pytest.raises(RunError, match=r"holds a recipe.toml that train did not write, and would be overwri"):
        RunFolder(run.path).begin(recipe_of(**changes))
    assert (run.path / "recipe.toml").read_text() == written
    assert (run.path / "tokenizer").is_dir()


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(run, recipe_of):
    (run.path / "history.json").write_text('[{"epoch": 1}]')
    RunFolder(run.path).begin(recipe_of())  # what a kill before the first checkpoint leaves
    (run.path / "history.json").write_text('[{"epoch": 1}, {"epoch": 2}]')
    with pytest.raises(RunError, match=r"has trained 2 epochs, and its checkpoints are gone: it would begin"):
        RunFolder(run.path).begin(recipe_of())


def test_the_data_of_a_begun_run_may_move(run, recipe_of):
    (run.path / "history.json").write_text('[{"epoch": 1}]')
    moved = recipe_of(data__folder="elsewhere")
    RunFolder(run.path).begin(moved)
    assert run.recipe() == moved


def test_one_training_at_a_time(tmp_path):
    run = RunFolder(tmp_path / "runs" / "one")
    with run.being_trained():
        twice = RunFolder(run.path).being_trained()
        with (
            pytest.raises(RunError, match=r"is being trained by another process. Wait for it, or give"),
            twice,
        ):
            pass
        with RunFolder(tmp_path / "runs" / "other").being_trained():
            pass
    with RunFolder(run.path).being_trained():
        assert list(run.path.iterdir()) == []


def test_begin_in_a_folder_that_holds_something_else(tmp_path, recipe_of):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"is not empty and no run folder. Give another --run folder"):
        RunFolder(tmp_path).begin(recipe_of())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_begin_in_an_empty_folder(tmp_path, recipe_of):
    RunFolder(tmp_path).begin(recipe_of())
    assert (tmp_path / "recipe.toml").exists()


@pytest.mark.parametrize("ask", ["recipe", "text_to_text"])
def test_no_run_folder(tmp_path, ask):
    with pytest.raises(
        RunError, match=r"is no run folder: it holds no recipe.toml. Expected what train wrote"
    ):
        getattr(RunFolder(tmp_path / "nowhere"), ask)()


def test_no_finished_epoch(run):
    with pytest.raises(
        RunError, match=r"has no finished epoch yet. Run keras-attn train with the same recipe"
    ):
        run.text_to_text()


def test_an_empty_run(run):
    assert run.checkpoint() == (0, 0, None)
    assert run.tokenizers() is None
    assert run.history(0) == []


def test_tokenizers_of_both_kinds(run, tokenizers):
    run.save_tokenizers(tokenizers.characters, tokenizers.sentencepiece)
    source, target = run.tokenizers()
    assert type(source) is CharacterTokenizer
    assert type(target) is SentencePieceTokenizer
    assert source.vocabulary == tokenizers.characters.vocabulary
    assert target.model_proto == tokenizers.sentencepiece.model_proto


def test_a_kill_while_tokenizers_are_saved_leaves_none(run, tokenizers):
    saved = tokenizers.characters

    class Killed:
        def save(self, path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.save_tokenizers(saved, Killed())
    assert run.tokenizers() is None
    run.save_tokenizers(saved, saved)
    assert run.tokenizers()[1].vocabulary == saved.vocabulary


@pytest.mark.parametrize(
    ("losses", "best"),
    [([3, 2, 5], 2), ([2, 3, 1], 3), ([1, 1, 1], 1), ([3, 1, 1], 2), ([float("nan"), 2, 1], 3)],
)
def test_the_best_model_is_the_one_with_the_lowest_validation_loss(run, losses, best):
    history = []
    for epoch, loss in enumerate(losses, start=1):
        history.append({"epoch": epoch, "val_loss": loss})
        run.save_checkpoint(Recorder(epoch), epoch, history)
        assert run.checkpoint() == (epoch, 0, run.path / "checkpoints" / f"epoch-{epoch:04d}.keras")
        assert run.checkpoint().path.read_text() == str(epoch)
    assert run.best_path.read_text() == str(best)
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["epoch-0003.keras"]
    assert run.history(2) == history[:2] or np.isnan(losses[0])


def test_the_best_model_of_a_real_run(finished):
    losses = [entry["val_loss"] for entry in finished.history]
    best = keras.models.load_model(finished.run.best_path)
    assert int(best.optimizer.iterations) == 5 * (1 + int(np.argmin(losses)))


def test_text_to_text_is_the_best_model_between_its_tokenizers(finished):
    text_to_text = finished.run.text_to_text()
    best = keras.models.load_model(finished.run.best_path, compile=False)
    for one, other in zip(text_to_text.model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (text_to_text.max_length, text_to_text.max_source_length) == (17, 67)
    assert text_to_text.source_tokenizer.vocabulary_size == best.get_config()["source_vocabulary_size"]
    assert len(text_to_text(["rot 가 🙂", ""])) == 2


def test_which_model(averaged_run, finished):
    run = averaged_run.run
    assert run.checkpoint_name() == run.checkpoint_name("averaged") == "averaged"
    assert finished.run.checkpoint_name() == "best"
    assert run.text_to_text("best", beam_size=1).strategy is None
    assert run.text_to_text(run.best_path, beam_size=None, max_length=5).strategy.beam_size == 2
    assert run.text_to_text("last", max_length=5).max_length == 5
    for name, path in (("best", run.best_path), ("averaged", run.averaged_path)):
        for one, other in zip(run.model(name).weights, run.model(path).weights, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.exhaustive
def test_a_process_that_trained_nothing_finds_the_last_model(finished, run_python):
    script = (
        "import sys; from keras_attn.training.run.run_folder import RunFolder; "
        "print(RunFolder(sys.argv[1]).last_model().optimizer.gradient_norm.shape)"
    )
    assert run_python(script, finished.run.path).strip() == "()"


def test_the_recipe_may_choose_the_model(tmp_path, recipe_of):
    run = RunFolder(tmp_path / "run")
    run.begin(recipe_of(decoding__checkpoint="last", training__average_last=2))
    assert run.checkpoint_name() == "last"


def test_no_average_yet(finished):
    message = r"has no averaged.keras yet. Finish its training .* keras-attn average writes averaged.keras"
    with pytest.raises(RunError, match=message):
        finished.run.model("averaged")


@pytest.mark.parametrize("name", ["nowhere.keras", "recipe.toml"])
def test_no_such_model(finished, name):
    with pytest.raises(RunError, match=rf"{name} is no model. Expected one of best, last, averaged, or the"):
        finished.run.model(finished.run.path / name)


def test_no_last_model(run):
    with pytest.raises(RunError, match=r"has no finished epoch yet"):
        run.model("last")


def test_no_translations(run):
    with pytest.raises(
        RunError, match=r"has no translations of test. Run keras-attn evaluate --on test first"
    ):
        run.translations("test")


def test_a_run_folder_may_move(finished, tmp_path):
    shutil.copytree(finished.run.path, tmp_path / "moved")
    texts = ["rot blau 3", "katze"]
    assert RunFolder(str(tmp_path / "moved")).text_to_text()(texts) == finished.run.text_to_text()(texts)


def test_scores_and_translations(run):
    pairs = [("a\tb", "c\nd"), ("안녕", "hello")]
    run.save_scores("test", {"bleu": 3.0}, pairs, ["x\ty", ""])
    run.save_scores("validation", {"bleu": 5.0}, pairs[:1], ["z"])
    run.save_scores("test", {"bleu": 7.0}, pairs, ["x\ty", ""])
    assert json.loads((run.path / "scores.json").read_text()) == {
        "test": {"bleu": 7.0},
        "validation": {"bleu": 5.0},
    }
    assert run.translations_path("test").name == "translations.test.tsv"
    assert run.translations_path("test").read_text(encoding="utf-8") == "a b\tc d\tx y\n안녕\thello\t\n"
    assert run.translations("test") == [("a b", "c d", "x y"), ("안녕", "hello", "")]
    assert run.translations_path("validation").read_text(encoding="utf-8") == "a b\tc d\tz\n"


@pytest.mark.parametrize("fails", ["history.json", "best.keras", "epoch-0002.keras"])
def test_a_checkpoint_that_cannot_be_written_leaves_nothing(run, monkeypatch, fails):
    """As on a full disk, which would stay full with it."""
    run.save_checkpoint(Recorder(1), 1, [{"epoch": 1, "val_loss": 3.0}])
    before = sorted(run.path.rglob("*"))
    replace = os.replace

    def full(source, target):
        if Path(target).name == fails:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    history = [{"epoch": 1, "val_loss": 3.0}, {"epoch": 2, "val_loss": 2.0}]
    with pytest.raises(OSError, match="No space"):
        run.save_checkpoint(Recorder(2), 2, history)
    assert sorted(run.path.rglob("*")) == before
    assert run.checkpoint()[:2] == (1, 0)


def test_write_text_leaves_the_old_file_when_it_fails(run, monkeypatch):
    run.write_text("scores.json", "old")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", _fail)
        with pytest.raises(OSError, match="full"):
            run.write_text("scores.json", "new")
    assert (run.path / "scores.json").read_text() == "old"


def _fail(*_):
    raise OSError("disk full")
