"""The README is true: its Python runs, its commands and files exist."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import click
import pytest

from keras_attn.cli.main import cli
from keras_attn.serving.server.flags import parse_flags
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.recipe.toml import load_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def of_a_test(code):
    """A block as a parameter: one that trains takes as long as fifty other tests."""
    return pytest.param(code, marks=pytest.mark.exhaustive if ".fit(" in code else ())


@pytest.mark.parametrize("code", [of_a_test(code) for code in blocks("python")])
def test_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names.keys() - {"__builtins__"}, "the block does nothing"


def test_toml_is_a_recipe(tmp_path):
    (block,) = blocks("toml")
    path = tmp_path / "recipe.toml"
    path.write_text(block, encoding="utf-8")
    recipe = load_recipe(path)
    assert recipe.data.train.path == "pairs.tsv"
    # What is commented out would be taken, too.
    for line in re.findall(r"^# (train = \{.*?\})", block, re.MULTILINE):
        other = block.replace('train = { path = "pairs.tsv" }', line)
        path.write_text(other, encoding="utf-8")
        assert isinstance(load_recipe(path), Recipe)


def keras_attn_calls():
    text = "\n".join(blocks("console")) + "\n" + "\n".join(re.findall(r"`(keras-attn [^`]+)`", README))
    for line in text.splitlines():
        line = line.removeprefix("$ ").split("#")[0].strip()
        if line.startswith("keras-attn "):
            yield line


@pytest.mark.parametrize("call", sorted(set(keras_attn_calls())))
def test_commands_and_their_options_exist(call):
    name, *arguments = shlex.split(call)[1:]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    if name == "serve":
        assert parse_flags(arguments)[1] == []
        return
    known = {option for parameter in command.params for option in parameter.opts}
    options = [argument.split("=")[0] for argument in arguments if argument.startswith("--")]
    assert set(options) <= known


def benchmarks():
    text = " ".join(README.split())
    return sorted(set(re.findall(r"`python (tests/benchmarks/[^`]+)`", text)))


@pytest.mark.parametrize("call", benchmarks())
def test_benchmarks_and_their_options_exist(call, monkeypatch):
    script, *arguments = shlex.split(call)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    assert vars(runpy.run_path(str(ROOT / script))["parse_arguments"]())


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"make (\w+)", README)
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_recipes_it_names_exist_and_load():
    paths = re.findall(r"training/recipes/\w+\.toml", README)
    assert paths
    for path in paths:
        assert isinstance(load_recipe(ROOT / path), Recipe)


def test_layout_names_the_folders_that_there_are():
    layout = next(block for block in blocks("text") if "serving/" in block and "decoding/" in block)
    named = set(re.findall(r"^\s*(\w+)/", layout, re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("keras_attn/*/__init__.py")}
    assert named == packages | {"keras_attn", "training", "serving", "tests"}
