"""Public names of a package that load on first use, so that importing the package loads no framework."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The three module attributes that make names lazy.

    Args:
        package: the package's `__name__`.
        homes: by name, the module inside the package that defines it; a module is its own home.

    Returns:
        `__all__`, `__getattr__` and `__dir__` of the package.

    Example:

    >>> names, get, _ = lazy_names("email", {"Charset": "charset", "message": "message"})
    >>> names, get("Charset")("utf-8").input_charset, get("message").__name__
    (['Charset', 'message'], 'utf-8', 'email.message')
    """
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}. Expected one of {names}.")
        module = importlib.import_module(f"{package}.{homes[name]}")
        return module if homes[name] == name else getattr(module, name)

    return names, get, lambda: names
