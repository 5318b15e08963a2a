"""The check of what the wheel holds finds what is not as it should be."""

import tomllib
import zipfile
from pathlib import Path

import pytest

from .building import ROOT, WrongContentsError, _sources, check_wheel


def written(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


@pytest.fixture
def installed():
    return {name for _, name in _sources()}


def test_all_files_are_expected_where_they_are_imported_from(installed):
    assert {
        "keras_attn/py.typed",
        "keras_attn/cli/main.py",
        "keras_attn/training/recipes/dates.toml",
        "keras_attn/serving/deploy/compose.yaml",
    } <= installed


def test_every_package_is_listed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {Path(path).parent for _, path in _sources() if path.endswith(".py")}
    assert sorted(settings["packages"]) == sorted(".".join(path.parts) for path in found)


def test_a_wheel_of_all_files_passes(tmp_path, installed):
    check_wheel(written(tmp_path / "all.whl", {*installed, "keras_attn-1.dist-info/METADATA"}))


@pytest.mark.parametrize("name", ["keras_attn/py.typed", "keras_attn/training/recipes/dates.toml"])
def test_a_file_that_is_missing_is_named(tmp_path, installed, name):
    with pytest.raises(WrongContentsError, match=f"lacks .'{name}'. and has .. too much"):
        check_wheel(written(tmp_path / "less.whl", installed - {name}))


def test_a_file_too_many_is_named(tmp_path, installed):
    with pytest.raises(WrongContentsError, match=r"has .'tests/ops/test_masks\.py'. too much"):
        check_wheel(written(tmp_path / "more.whl", installed | {"tests/ops/test_masks.py"}))
