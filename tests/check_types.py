"""Runs mypy over the package as it is installed: `keras_attn` with `training` and `serving` inside it."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = ROOT / "build" / "types"


def main():
    link_packages()
    options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", TREE / ".cache"]
    command = [sys.executable, "-m", "mypy", *options, "--package", "keras_attn"]
    return subprocess.run(command, cwd=TREE, check=False).returncode


def link_packages():
    """Links the files to where the wheel has them, for mypy follows no `package-dir` of setuptools."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for package, folder in folders.items():
        home = TREE.joinpath(*package.split("."))
        home.mkdir(parents=True, exist_ok=True)
        for old in home.iterdir():
            if old.is_symlink():
                old.unlink()
        for path in (ROOT / folder).iterdir():
            if path.name != "__pycache__":
                (home / path.name).symlink_to(path)


if __name__ == "__main__":
    sys.exit(main())
