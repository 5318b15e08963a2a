"""Builds the source distribution and, from it, the wheel, and compares what they hold with the sources."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class BuildError(AssertionError):
    """A build that failed, or gave warnings."""


class WrongContentsError(AssertionError):
    """A distribution lacks a file, or has one too many."""


class Built(NamedTuple):
    """Paths of the two files, and the Python whose pip installs."""

    sdist: Path
    wheel: Path
    builder: Path


def build(folder):
    """Builds both in a folder that is empty.

    Raises:
        BuildError: with what the build said.
        WrongContentsError: names the files.
    """
    builder = folder / "builder" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "builder"], check=True)
    pip = [builder, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "build"]
    subprocess.run(pip, check=True)
    # Elsewhere than in the checkout, whose own folder `build` Python would take for the module.
    command = [builder, "-m", "build", "--outdir", folder / "dist", ROOT]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or "Warning" in done.stderr:
        raise BuildError(done.stderr[-3000:])
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    check_sdist(sdist)
    check_wheel(wheel)
    return Built(sdist, wheel, builder)


def check_wheel(path):
    """All modules, the recipes, the deployment files and the type marker: no more, no less."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    _check(path, names, {installed for _, installed in _sources()})


def check_sdist(path):
    """What the wheel is built from; setuptools adds its own, and tests may be among it."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {source for source, _ in _sources()} | {"pyproject.toml", "README.md", "LICENSE"}
    _check(path, names & expected, expected)


def _sources():
    """(path in the checkout, path where it is installed) of every file of the three folders."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    for package, folder in settings["package-dir"].items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT / folder).as_posix()
                yield path.relative_to(ROOT).as_posix(), f"{package.replace('.', '/')}/{inside}"


def _check(path, names, expected):
    if names != expected:
        raise WrongContentsError(
            f"{path.name} lacks {sorted(expected - names)} and has {sorted(names - expected)} too much."
        )
