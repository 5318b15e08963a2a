"""Recipes as TOML files: read, overridden, written, compared."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w

from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.recipe.section import RecipeError, Section, value_text


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe from a TOML file.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        overrides: changes on top of it, each `section.key=value`. The value is read as TOML where it is TOML
            and is a string otherwise: `training.epochs=3`, `data.train.path=my pairs.tsv`.

    Returns:
        The recipe, checked.

    Raises:
        RecipeError: if the file cannot be read, is no TOML, or describes no valid recipe.
    """
    table = _read_toml(Path(path))
    for override in overrides:
        _apply(override, table)
    return Recipe.from_dict(table)


def dump_recipe(recipe: Recipe) -> str:
    """Writes a recipe as TOML that `from_dict` reads back as an equal recipe.

    Args:
        recipe: the recipe.

    Returns:
        The text of a TOML file with every value, defaults included; only what is unset is left out.
    """
    return tomli_w.dumps(_table(recipe))


def differences(a: Recipe, b: Recipe) -> list[str]:
    """Lists where two recipes differ.

    Args:
        a: the recipe whose values stand on the left.
        b: the recipe whose values stand on the right.

    Returns:
        Lines such as `training.epochs: 3 != 5`, in the order of the recipe; empty for equal recipes.
    """
    left, right = dict(_flat(_table(a))), dict(_flat(_table(b)))
    return [
        f"{name}: {left.get(name, 'unset')} != {right.get(name, 'unset')}"
        for name in dict.fromkeys([*left, *right])
        if left.get(name) != right.get(name)
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        near = get_close_matches(path.name, [entry.name for entry in path.parent.glob("*.toml")], n=1)
        hint = f" Did you mean `{path.with_name(near[0])}`?" if near else ""
        raise RecipeError(f"The recipe `{path}` does not exist.{hint}") from None
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"The recipe `{path}` is not UTF-8 (byte {error.start}). Save it as UTF-8."
        ) from None
    except OSError as error:
        raise RecipeError(f"The recipe `{path}` cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe `{path}` is not valid TOML: {error}.") from None


def _apply(override: str, table: dict[str, Any]) -> None:
    """Sets one `section.key=value` in the table."""
    dotted, equals, text = override.partition("=")
    *sections, key = names = [name.strip() for name in dotted.split(".")]
    if not equals or not sections or not all(names):
        raise RecipeError(
            f"The override `{override}` cannot be read. Expected `section.key=value`, "
            f"such as `training.epochs=3`."
        )
    for depth, name in enumerate(sections, start=1):
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise RecipeError(
                f"The override `{override}` cannot be applied: `{'.'.join(names[:depth])}` is no section."
            )
    table[key] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # Text of several lines may parse as several keys; then it was no value.
    return table["value"] if table.keys() == {"value"} else text


def _table(section: Section) -> dict[str, Any]:
    """The section as TOML would hold it: TOML knows no null, so what is unset is absent."""
    table = {}
    for item in fields(section):
        value = getattr(section, item.name)
        if isinstance(value, Section):
            table[item.name] = _table(value)
        elif value is not None and not (value == "" and item.default == ""):
            table[item.name] = value
    return table


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names and values as TOML shows them, which tells 3 from 3.0 and from "3"."""
    flat = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value_text(value)))
    return flat
