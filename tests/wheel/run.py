"""Installs the wheel into fresh environments, outside of the checkout, and tests it there: `make test-wheel`.

With `--quick`, as CI runs it, the packages that the wheel needs are those of this Python: nothing but the
wheel itself is installed. With `--bare`, as CI runs it too, the wheel is installed without an extra, and JAX
beside it. Otherwise every Python that is present gets an environment with the pinned
versions, one with the newest and one with the oldest that the wheel's bounds allow.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from building import ROOT, build

HERE = Path(__file__).parent
FOLDER = ROOT / "build" / "wheel"
KINDS = ("pinned", "newest", "oldest")
PYTHONS = ("3.11", "3.12", "3.13")
_LOWER_BOUND = re.compile(r"([\w.-]+)>=([\d.]+)")


class FailedError(AssertionError):
    """A check that ended with an error."""


class NotInstallableError(RuntimeError):
    """Versions that this Python cannot have."""


class Home(NamedTuple):
    """An environment: its Python, and an empty folder to run in."""

    python: Path
    empty: Path


def main():
    arguments = _arguments()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    built = build(FOLDER)
    if arguments.quick:
        _quick(built)
        return 0
    if arguments.bare:
        _bare(built)
        return 0
    rows, failed = ["| Python | versions | result |", "| --- | --- | --- |"], False
    for version in arguments.python or PYTHONS:
        for kind in arguments.kind or KINDS:
            try:
                result = _full(built, version, kind)
            except NotInstallableError as error:
                result = f"not tested: {error}"
            except FailedError as error:
                result, failed = f"FAILED: {error}", True
            rows.append(f"| {version} | {kind} | {result} |")
            print(rows[-1], flush=True)
    (FOLDER / "result.md").write_text("\n".join(rows) + "\n")
    return failed


def _quick(built):
    """The wheel beside the packages of this Python, whose own checkout is not seen."""
    pip = [built.builder, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python"]
    for name in ("check_client.py", "check_installed.py"):
        home = _new_environment(sys.executable, name, "--without-pip")
        subprocess.run([*pip, home.python, "install", "--no-deps", built.wheel], check=True)
        (site_packages,) = (home.python.parents[1] / "lib").glob("python*/site-packages")
        if name == "check_client.py":
            (urllib3,) = importlib.util.find_spec("urllib3").submodule_search_locations
            (site_packages / "urllib3").symlink_to(urllib3)
        else:
            # A folder on the path is searched, but its own .pth files, as of an editable install, are not.
            others = [path for path in sys.path if path.endswith("site-packages")]
            (site_packages / "others.pth").write_text("\n".join(others))
        print(_checked(home, name))


def _bare(built):
    """The wheel with Keras, NumPy and JAX, in the pinned versions, and no TensorFlow."""
    home = _new_environment(sys.executable, "bare")
    _install(home, "--constraint", ROOT / "constraints.txt", built.wheel, "jax")
    print(_checked(home, "check_bare.py"))


def _full(built, version, kind):
    """What a fresh environment says; it is removed afterwards."""
    base = _find(version)
    home = _new_environment(base, f"{version}-{kind}")
    try:
        bounds = _bounds(kind)
        _install(home, "--no-deps", built.wheel)
        _install(home, *bounds, "urllib3")
        _checked(home, "check_client.py")
        _install(home, *bounds, f"{built.wheel}[train]")
        _checked(home, "check_installed.py", "--without-serve")
        _install(home, *bounds, f"{built.wheel}[all]")
        lines = _checked(home, "check_installed.py").splitlines()
        return next(line for line in lines if line.startswith("Python"))
    finally:
        shutil.rmtree(home.python.parents[1])


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="install the wheel alone")
    parser.add_argument("--bare", action="store_true", help="install the wheel without extras, and JAX")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="may be repeated")
    parser.add_argument("--kind", action="append", choices=KINDS, help="may be repeated")
    return parser.parse_args()


def _find(version):
    """A Python of that version."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [*sorted(pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")]
    if own == f"python{version}":
        candidates = [Path(sys.base_prefix) / "bin" / own]
    for path in candidates:
        if path is not None:
            return path
    raise NotInstallableError(f"there is no Python {version}")


def _new_environment(base, name, *options):
    folder, empty = FOLDER / name, FOLDER / f"{name}-empty"
    subprocess.run([base, "-m", "venv", *options, folder], check=True)
    empty.mkdir()
    return Home(folder / "bin" / "python", empty)


def _bounds(kind):
    """Arguments of pip that make it choose the versions."""
    if kind == "newest":
        return ["--upgrade"]
    if kind == "pinned":
        return ["--constraint", ROOT / "constraints.txt"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(line for extra in ("text", "train", "client", "serve") for line in extras[extra]),
    ]
    bounds = {found.groups() for found in map(_LOWER_BOUND.match, wanted) if found}  # no extras of ours
    path = FOLDER / "oldest.txt"
    path.write_text("".join(f"{name}=={least}\n" for name, least in sorted(bounds)))
    return ["--constraint", path]


def _install(home, *arguments):
    """Takes wheels alone, so that a package without one for this Python is named."""
    options = ["--disable-pip-version-check", "--quiet", "--only-binary", ":all:"]
    command = [home.python, "-m", "pip", "install", *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstallableError("; ".join(errors)[-500:])


def _checked(home, name, *arguments):
    """Runs a check in the empty folder, with a clean path, and returns what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "2"
    command = [home.python, "-P", HERE / name, *arguments]
    done = subprocess.run(
        command, cwd=home.empty, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FailedError(f"{name}: {done.stdout[-1000:]} {done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
