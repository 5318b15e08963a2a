"""Data sets of libraries: what they are asked for, and what is said where they are absent or fail."""

import sys
from types import SimpleNamespace

import pytest

from keras_attn.training.data.pairs import read_pairs
from keras_attn.training.data.text_files import DataError
from keras_attn.training.recipe.recipe import PairsSpec
from keras_attn.training.recipe.section import RecipeError

COLUMNS = {"source_column": "de", "target_column": "en"}
EXAMPLES = [{"de": b"Hund", "en": b"dog"}, {"de": "läuft".encode(), "en": b" "}]


@pytest.fixture
def asked(monkeypatch):
    """Puts stand-ins in the place of both libraries; holds what they are asked."""
    calls = []

    def load(*arguments, **options):
        calls.append((arguments, options))
        return "loaded"

    def load_dataset(*arguments, **options):
        calls.append((arguments, options))
        return [{"translation": {"de": "Katze", "en": "cat"}}]

    def load_from_disk(path):
        calls.append(((path,), {}))
        return [{"de": "Maus", "en": "mouse"}]

    def as_numpy(dataset):
        assert dataset == "loaded"
        return iter(EXAMPLES)

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace(load=load, as_numpy=as_numpy))
    monkeypatch.setitem(
        sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset, load_from_disk=load_from_disk)
    )
    return calls


def test_tensorflow_datasets(asked):
    pairs = read_pairs(PairsSpec(tfds="wmt14_translate/de-en", **COLUMNS))
    assert (pairs.pairs, pairs.dropped_empty) == ([("Hund", "dog")], 1)
    assert asked == [(("wmt14_translate/de-en",), {"split": "train", "shuffle_files": False})]


def test_hugging_face(asked):
    columns = {"source_column": "translation.de", "target_column": "translation.en"}
    assert list(read_pairs(PairsSpec(hugging_face="wmt/wmt14", **columns))) == [("Katze", "cat")]
    read_pairs(PairsSpec(hugging_face="wmt/wmt14", config="de-en", split="test[:7]", **columns))
    assert asked == [
        (("wmt/wmt14", None), {"split": "train"}),
        (("wmt/wmt14", "de-en"), {"split": "test[:7]"}),
    ]


def test_hugging_face_saved_to_disk(asked, tmp_path):
    (tmp_path / "state.json").touch()
    assert list(read_pairs(PairsSpec(hugging_face=str(tmp_path), **COLUMNS))) == [("Maus", "mouse")]
    assert asked == [((str(tmp_path),), {})]
    with pytest.raises(DataError, match=r"ValueError: it was saved as one split, which has no `split` and"):
        read_pairs(PairsSpec(hugging_face=str(tmp_path), split="test", **COLUMNS))


def test_hugging_face_in_the_folder_of_the_recipe(asked, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").touch()
    spec = PairsSpec(hugging_face="saved", **COLUMNS)
    assert list(read_pairs(spec, tmp_path)) == [("Maus", "mouse")]
    assert asked == [((str(tmp_path / "saved"),), {})]


def test_a_column_that_is_not_there(asked):
    with pytest.raises(
        DataError, match=r"Example 1 of `x` has no column 'fr', .* Expected one of 'de', 'en'"
    ):
        read_pairs(PairsSpec(tfds="x", source_column="de", target_column="fr"))
    with pytest.raises(DataError, match=r"Example 1 of `x` .* Expected one of 'translation.de', "):
        read_pairs(PairsSpec(hugging_face="x", **COLUMNS))


def test_text_that_is_no_utf_8(asked, monkeypatch):
    monkeypatch.setattr(
        sys.modules["tensorflow_datasets"], "as_numpy", lambda _: [{"de": b"\xff", "en": b"x"}]
    )
    with pytest.raises(DataError, match=r"no text in 'de', .* string of UTF-8. Received: .*xff"):
        read_pairs(PairsSpec(tfds="x", **COLUMNS))


@pytest.mark.parametrize(
    ("way", "module", "package"),
    [("tfds", "tensorflow_datasets", "tensorflow-datasets"), ("hugging_face", "datasets", "datasets")],
)
def test_a_library_that_is_not_installed(monkeypatch, way, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=rf"`x/y` needs the package {package}, .*`pip install {package}`"):
        read_pairs(PairsSpec(**{way: "x/y"}, **COLUMNS))


@pytest.mark.parametrize(("way", "function"), [("tfds", "load"), ("hugging_face", "load_dataset")])
def test_a_data_set_that_cannot_be_loaded(asked, monkeypatch, way, function):
    def fail(*_, **__):
        raise ConnectionError("no network.\nnames of\nthousands of others")

    module = sys.modules["tensorflow_datasets" if way == "tfds" else "datasets"]
    monkeypatch.setattr(module, function, fail)
    with pytest.raises(
        DataError, match=r"`x` cannot be loaded by .*: ConnectionError: no network. Check its"
    ):
        read_pairs(PairsSpec(**{way: "x"}, **COLUMNS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tfds": "x", "path": "a", **COLUMNS}, "must say where the pairs are.* Received: path, tfds"),
        ({"tfds": "x", "target_column": "en"}, "`source_column` must name a column .* Received: 0"),
        ({"hugging_face": "x", "source_column": "de"}, "`target_column` must name a column .* Received: 1"),
        ({"path": "a", "split": "test"}, "`split` belongs only to `tfds` and `hugging_face`"),
        ({"tfds": "x", "config": "de-en", **COLUMNS}, "`config` belongs only to `hugging_face`"),
    ],
)
def test_specifications_that_are_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        PairsSpec(**options)
