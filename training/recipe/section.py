"""A section of a recipe: a frozen dataclass that checks its values, read from a TOML table.

A field is one line, `name: type = option(default, ...)`; reading and checking follow from it.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self, get_args

import tomli_w

from keras_attn.errors import UserError

_TYPE_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    tuple: "an array",
    dict: "a table",
}
_LIMITS = {
    "minimum": ("at least", operator.ge),
    "above": ("more than", operator.gt),
    "maximum": ("at most", operator.le),
    "below": ("less than", operator.lt),
}


class RecipeError(UserError, ValueError):
    """A recipe that cannot be used, in one sentence.

    Args:
        problem: what is wrong; where `name` is given, the sentence goes on after it.
        name: the dotted name of the field, `training.epochs`.
    """

    def __init__(self, problem: str, name: str = ""):
        super().__init__(f"`{name}` {problem}" if name else problem)
        self.problem = problem
        self.name = name


def option(
    default: Any, *, choices: Sequence[str] | Callable[[], Sequence[str]] = (), **limits: float
) -> Any:
    """A field of a section, with what its values are held to.

    Args:
        default: the value where the recipe has none.
        choices: the strings that are allowed, or a function that returns them when a value is checked; empty
            allows all.
        **limits: bounds of a number: `minimum`, `maximum` (allowed themselves), `above`, `below` (not).

    Returns:
        What `dataclasses.field` returns.
    """
    return field(default=default, metadata={"choices": choices, "limits": limits})


@dataclass(frozen=True, kw_only=True)
class Section:
    """Base of all sections: values are checked however the section is made.

    Raises:
        RecipeError: if a value has the wrong type or is not allowed.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _checked(item, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        self.check()

    def check(self) -> None:
        """Checks fields against each other; a section with such rules overrides it."""

    @classmethod
    def expanded(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """The table with names that stand for several values written out; a section with some overrides."""
        return table

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """The section that a TOML table describes.

        Args:
            table: field names and values; sub-sections are tables again. Absent ones take their default.

        Returns:
            The section, checked.

        Raises:
            RecipeError: if a name is unknown, a required one is missing, or a value is not allowed.
        """
        known = {item.name: item for item in fields(cls)}
        values = {}
        for name, value in cls.expanded(table).items():
            if name not in known:
                raise RecipeError(f"is unknown. {_near_miss(name, known)}", name)
            section = _section_type(known[name])
            values[name] = value if section is None else _sub_section(section, name, value)
        for name, item in known.items():
            if name not in values and item.default is MISSING and item.default_factory is MISSING:
                raise RecipeError("is missing, and has no default.", name)
        return cls(**values)


def _checked(item: Field, value: Any) -> Any:
    """The value of a field; an integer becomes a float and an array a tuple where one is asked for."""
    allowed = get_args(item.type) or (item.type,)
    if type(value) is int and float in allowed and int not in allowed:
        value = float(value)
    if type(value) is list and tuple in allowed:
        value = tuple(tuple(x) if isinstance(x, list) else x for x in value)  # what is frozen has no lists
    choices = item.metadata.get("choices", ())
    choices = choices() if callable(choices) else choices
    if type(value) not in allowed and not _is_section_of(allowed, value):
        problem, expected = "has the wrong type", _type_text(allowed)
    elif type(value) is str and choices and value not in choices:
        problem = "is no known choice"
        expected = "one of " + ", ".join(f'"{choice}"' for choice in choices)
    elif type(value) in (int, float) and not _within(value, item.metadata["limits"]):
        problem = "is out of range"
        limits = item.metadata["limits"].items()
        expected = " and ".join(f"{_LIMITS[name][0]} {bound}" for name, bound in limits) or "a finite number"
    else:
        return value
    raise RecipeError(f"{problem}. Expected {expected}. Received: {value_text(value)}.", item.name)


def _within(value: float, limits: Mapping[str, float]) -> bool:
    return math.isfinite(value) and all(_LIMITS[name][1](value, bound) for name, bound in limits.items())


def _is_section_of(allowed: Sequence[type], value: Any) -> bool:
    return isinstance(value, Section) and isinstance(value, tuple(allowed))


def _section_type(item: Field) -> type[Section] | None:
    """The section that a field holds, `X | None` included."""
    hints = get_args(item.type) or (item.type,)
    return next((hint for hint in hints if issubclass(hint, Section)), None)


def _sub_section(section: type[Section], name: str, value: Any) -> Section:
    if not isinstance(value, Mapping):
        raise RecipeError(f"must be a section. Expected a table. Received: {value_text(value)}.", name)
    try:
        return section.from_dict(value)
    except RecipeError as error:
        # The section does not know its own name; whoever holds it does.
        raise RecipeError(error.problem, f"{name}.{error.name}".rstrip(".")) from None


def _near_miss(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name.replace("-", "_"), known, n=1)
    return f"Did you mean `{near[0]}`?" if near else f"Expected one of {', '.join(known)}."


def _type_text(allowed: Sequence[type]) -> str:
    names = [_TYPE_NAMES.get(kind, f"a {kind.__name__}") for kind in allowed if kind is not type(None)]
    return " or ".join(names)


def value_text(value: Any) -> str:
    """A value as TOML would show it, which is where the reader wrote it."""
    if isinstance(value, bool | str | int | float | tuple):
        return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")
    return f"{value!r} ({type(value).__name__})"
