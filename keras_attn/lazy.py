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
        homes: the module that defines each name.

    Returns:
        `__all__`, `__getattr__` and `__dir__` of the package.

    Example:

    >>> names, get, _ = lazy_names("shapes", {"pi": "math", "tau": "math"})
    >>> names, round(get("tau"), 2)
    (['pi', 'tau'], 6.28)
    """
    names = sorted(homes)

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}. Expected one of {names}.")
        return getattr(importlib.import_module(homes[name]), name)

    return names, get, lambda: names
