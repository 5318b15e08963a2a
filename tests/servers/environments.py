"""Builds a virtual environment for each TensorFlow whose servers are tested: `.venv/servers/VERSION`."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Environment(NamedTuple):
    """What stands for a server of one version: the same C++ library, with its text ops.

    Attributes:
        version: of TensorFlow Serving, such as "2.17".
        tensorflow: the release that is installed.
        tensorflow_text: likewise. It is built against one minor version of TensorFlow.
        needs_full: whether tensorflow-text cannot be loaded beside `tensorflow-cpu`, the smaller package.
    """

    version: str
    tensorflow: str
    tensorflow_text: str
    needs_full: bool = False


ENVIRONMENTS = (
    Environment("2.16", "2.16.2", "2.16.1"),
    Environment("2.17", "2.17.1", "2.17.0"),
    Environment("2.18", "2.18.1", "2.18.1"),
    # Of tensorflow-cpu 2.19 the framework library has no `tflite::shim`, which this text needs.
    Environment("2.19", "2.19.0", "2.19.0", needs_full=True),
    Environment("2.20", "2.20.0", "2.20.1"),
)
# TensorFlow 2.16 to 2.20 have wheels for these.
_PYTHONS = ((3, 11), (3, 12))


class NotInstallableError(RuntimeError):
    """A version that this machine cannot have."""


def python_of(environment, folder):
    """The Python of an environment, which is built unless it is there.

    Args:
        environment: one of `ENVIRONMENTS`.
        folder: that holds all of them.

    Raises:
        NotInstallableError: says why there is none.
    """
    home = Path(folder) / environment.version
    python, ready = home / "bin" / "python", home / ".ready"
    if ready.exists() and ready.read_text() == _packages(environment):
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([_base_python(), "-m", "venv", home], check=True)
    package, text = _packages(environment).split()
    _install(python, package)
    _install(python, text, "--no-deps")  # it asks for `tensorflow`, which `tensorflow-cpu` is, too
    _run(f"{text} does not go with {package}", python, "-c", "import tensorflow_text")
    ready.write_text(_packages(environment))
    return python


def _packages(environment):
    has_cpu_wheels = platform.system() == "Linux" and platform.machine() == "x86_64"
    name = "tensorflow-cpu" if has_cpu_wheels and not environment.needs_full else "tensorflow"
    return f"{name}=={environment.tensorflow} tensorflow-text=={environment.tensorflow_text}"


def _base_python():
    """The Python that this one is of, where it is old enough; or one that the shell finds."""
    if sys.version_info[:2] in _PYTHONS:
        return Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    for major, minor in _PYTHONS:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            return found
    raise NotInstallableError("there is no Python 3.11 or 3.12")


def _install(python, requirement, *options):
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(f"{requirement} cannot be installed", python, *pip, requirement, *options)


def _run(problem, *command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstallableError(f"{problem}: {done.stderr.strip().splitlines()[-1]}")
