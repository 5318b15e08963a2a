"""Extras of the package: the one that a missing module belongs to, said in one sentence."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator

from keras_attn.errors import UserError

# The smallest extra of `pyproject.toml` that installs a module; `all` where several do.
_EXTRAS = {
    "babel": "train",
    "click": "all",
    "google": "text",
    "grpc": "serve",
    "grpc_health": "serve",
    "grpc_reflection": "serve",
    "httptools": "serve",
    "sacrebleu": "train",
    "sentencepiece": "text",
    "tensorflow": "text",
    "tensorflow_serving": "serve",
    "tensorflow_text": "text",
    "tomli_w": "train",
    "urllib3": "client",
    "uvicorn": "serve",
}


class MissingExtraError(UserError, ModuleNotFoundError):
    """A module that an extra installs is missing; the message names the extra."""


def require(*modules: str) -> None:
    """Checks that top-level modules are installed, without importing them.

    For packages that need an extra as a whole, before they import anything.

    Raises:
        MissingExtraError: for the first that is not.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(_sentence(module), name=module)


@contextlib.contextmanager
def naming_the_extra() -> Iterator[None]:
    """Turns the import error of a module that an extra installs into a `MissingExtraError`."""
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        raise MissingExtraError(_sentence(module), name=module) from error


@contextlib.contextmanager
def exiting_without_extra() -> Iterator[None]:
    """Ends a command with one sentence and exit code 1 where a module of an extra is missing."""
    try:
        with naming_the_extra():
            yield
    except MissingExtraError as error:
        sys.exit(f"Error: {error}")


def _sentence(module: str) -> str:
    return f"The module `{module}` is not installed. Run: pip install 'keras-attn[{_EXTRAS[module]}]'"
