"""Extras of `pyproject.toml` install what the code imports, and a missing module names its own."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from keras_attn import extras

from .test_imports import FILES, ROOT, everything_imported

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Installed by Keras itself, and optional beyond any extra.
OF_KERAS = {"ml_dtypes", "rich"}
OPTIONAL = {"ctranslate2", "jax"}


def requirements(extra):
    """Names of the distributions that an extra installs, those of the extras in it included."""
    found = set()
    for requirement in PROJECT["optional-dependencies"][extra]:
        inner = re.match(r"keras-attn\[(.*)\]", requirement)
        if inner:
            found |= {name for part in inner[1].split(",") for name in requirements(part)}
        else:
            found.add(re.match(r"[\w.-]+", requirement)[0])
    return found


def test_every_foreign_module_is_of_keras_or_of_an_extra():
    imported = {name.partition(".")[0] for module in FILES for name in everything_imported(module)}
    foreign = imported - set(sys.stdlib_module_names) - {"keras_attn", "keras", "numpy"}
    assert foreign - OF_KERAS - OPTIONAL == set(extras._EXTRAS)


@pytest.mark.parametrize(("module", "extra"), sorted(extras._EXTRAS.items()))
def test_the_named_extra_installs_the_module(module, extra):
    distributions = {re.sub("[-_.]+", "-", name) for name in packages_distributions()[module]}
    assert requirements(extra) & distributions


def test_all_is_all():
    others = set(PROJECT["optional-dependencies"]) - {"all", "fuzz", "peers", "test"}
    assert requirements("all") == set().union(*map(requirements, others))


def test_the_package_itself_needs_keras_and_numpy_only():
    assert [re.match(r"\w+", name)[0] for name in PROJECT["dependencies"]] == ["keras", "numpy"]


def test_a_missing_module_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.delitem(sys.modules, "keras_attn.training.run_comparison", raising=False)
    with pytest.raises(extras.MissingExtraError, match=r"`sacrebleu` .* pip install 'keras-attn\[train\]'"):
        extras.require("keras", "sacrebleu")
    with pytest.raises(extras.MissingExtraError, match="sacrebleu"), extras.naming_the_extra():
        import keras_attn.training.run_comparison  # noqa: F401


def test_a_module_of_no_extra_is_an_error_as_ever():
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere'"), extras.naming_the_extra():
        import nowhere  # noqa: F401


def test_a_command_ends_with_the_sentence():
    with (
        pytest.raises(SystemExit, match=r"^Error: The module `click` is not"),
        extras.exiting_without_extra(),
    ):
        raise ModuleNotFoundError("No module named 'click.core'", name="click.core")
