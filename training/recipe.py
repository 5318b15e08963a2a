"""A recipe: everything that decides a training run, as frozen dataclasses and as a TOML file.

The dataclasses are the whole description. A field is one line, `name: type = option(default, ...)`; reading,
checking, overriding, writing and comparing follow from it. A section is a subclass of `Section`.
"""

import math
import operator
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, get_args

import tomli_w

_TYPE_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
_LIMITS = {
    "minimum": ("at least", operator.ge),
    "above": ("more than", operator.gt),
    "maximum": ("at most", operator.le),
    "below": ("less than", operator.lt),
}


class RecipeError(ValueError):
    """A recipe that cannot be used, in one sentence.

    Args:
        problem: what is wrong; where `name` is given, the sentence goes on after it.
        name: the dotted name of the field, `training.epochs`.
    """

    def __init__(self, problem: str, name: str = ""):
        super().__init__(f"`{name}` {problem}" if name else problem)
        self.problem = problem
        self.name = name


def option(default: Any, *, choices: Sequence[str] = (), **limits: float) -> Any:
    """A field of a section, with what its values are held to.

    Args:
        default: the value where the recipe has none.
        choices: the strings that are allowed; empty allows all.
        **limits: bounds of a number: `minimum`, `maximum` (allowed themselves), `above`, `below` (not).

    Returns:
        What `dataclasses.field` returns.
    """
    return field(default=default, metadata={"choices": tuple(choices), "limits": limits})


@dataclass(frozen=True, kw_only=True)
class Section:
    """What all sections share: values are checked however the section is made.

    Raises:
        RecipeError: if a value has the wrong type or is not allowed.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = _checked(item, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        self.check()

    def check(self) -> None:
        """Holds fields against each other; a section with such rules overrides it."""

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
        for name, value in table.items():
            if name not in known:
                raise RecipeError(f"is unknown. {_near_miss(name, known)}", name)
            section = _section_type(known[name])
            values[name] = _sub_section(section, name, value) if section else value
        for name, item in known.items():
            if name not in values and item.default is MISSING and item.default_factory is MISSING:
                raise RecipeError("is missing, and has no default.", name)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class PairsSpec(Section):
    """Where pairs of texts are: one TSV or CSV file, or two files aligned by line. See `read_pairs`."""

    path: str = option("")  # CSV where it ends in .csv or .csv.gz, TSV otherwise
    source: str = option("")  # two aligned files instead of `path`
    target: str = option("")
    source_column: int | str = option(0, minimum=0)  # counted from 0; in a CSV file also by name
    target_column: int | str = option(1, minimum=0)

    def check(self) -> None:
        """Holds that exactly one way to find the pairs is given."""
        given = [name for name in ("path", "source", "target") if getattr(self, name)]
        if given not in (["path"], ["source", "target"]):
            raise RecipeError(
                f"must say where the pairs are. Expected either `path` alone or `source` and `target` "
                f"together. Received: {', '.join(given) or 'none of them'}.",
            )


@dataclass(frozen=True, kw_only=True)
class Data(Section):
    """The `[data]` section: the three sets of pairs; where one is absent it is held out of `train`."""

    folder: str = option(".")  # the paths below start here, and it starts at the current directory
    validation_size: int | float = option(0.05, minimum=0)  # pairs, or a fraction of them below 1
    test_size: int | float = option(0.05, minimum=0)
    max_source_length: int = option(256, minimum=1)  # tokens; longer training pairs are left out
    max_target_length: int = option(256, minimum=1)
    train: PairsSpec
    validation: PairsSpec | None = None
    test: PairsSpec | None = None

    def check(self) -> None:
        """Holds that a fraction is one."""
        for name in ("validation_size", "test_size"):
            size = getattr(self, name)
            if isinstance(size, float) and size >= 1:
                raise RecipeError(
                    f"is a fraction where it has a decimal point. Expected less than 1.0, or an integer "
                    f"for a number of pairs. Received: {size}.",
                    name,
                )


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Section):
    """The `[tokenizer]` section: how text becomes ids."""

    kind: str = option("sentencepiece", choices=("sentencepiece", "characters"))
    vocabulary_size: int = option(8000, minimum=1)
    model_type: str = option("unigram", choices=("unigram", "bpe"))
    shared: bool = option(False)  # one vocabulary for both sides
    character_coverage: float = option(1.0, minimum=0.98, maximum=1.0)  # SentencePiece takes no other
    byte_fallback: bool = option(False)  # unknown characters become bytes


@dataclass(frozen=True, kw_only=True)
class Model(Section):
    """The `[model]` section: the family and its widths."""

    kind: str = option("recurrent", choices=("recurrent",))
    embedding_dim: int = option(256, minimum=1)
    units: int = option(256, minimum=1)
    attention_units: int = option(256, minimum=1)
    dropout: float = option(0.2, minimum=0, below=1)


@dataclass(frozen=True, kw_only=True)
class Training(Section):
    """The `[training]` section: what `fit` is given."""

    epochs: int = option(10, minimum=1)
    batch_size: int = option(128, minimum=1)
    learning_rate: float = option(0.001, above=0)
    warmup_steps: int = option(200, minimum=0)
    label_smoothing: float = option(0.1, minimum=0, below=1)
    clip_norm: float = option(1.0, above=0)
    seed: int = option(0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class Decoding(Section):
    """The `[decoding]` section: how long texts may be, in tokens."""

    max_length: int = option(100, minimum=1)  # a longer output is cut
    max_source_length: int = option(1024, minimum=1)  # a longer input is refused


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """The `[evaluation]` section: how outputs are compared with references."""

    # sacreBLEU's tokenizer; "char" for languages that do not divide words by spaces
    tokenize: str = option("13a", choices=("13a", "intl", "char", "zh", "none"))


@dataclass(frozen=True, kw_only=True)
class Recipe(Section):
    """A whole recipe.

    >>> recipe = Recipe.from_dict({"data": {"train": {"path": "train.tsv"}}, "training": {"epochs": 3}})
    >>> recipe.training.epochs, recipe.model.units
    (3, 256)
    """

    data: Data
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    decoding: Decoding = field(default_factory=Decoding)
    evaluation: Evaluation = field(default_factory=Evaluation)


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


def _checked(item: Field, value: Any) -> Any:
    """The value of a field, an integer made a float where one is asked for."""
    allowed = get_args(item.type) or (item.type,)
    if type(value) is int and float in allowed and int not in allowed:
        value = float(value)
    if type(value) not in allowed:
        problem, expected = "has the wrong type", _type_text(allowed)
    elif item.metadata.get("choices") and value not in item.metadata["choices"]:
        problem = "is no known choice"
        expected = "one of " + ", ".join(f'"{choice}"' for choice in item.metadata["choices"])
    elif type(value) in (int, float) and not _within(value, item.metadata["limits"]):
        problem = "is out of range"
        limits = item.metadata["limits"].items()
        expected = " and ".join(f"{_LIMITS[name][0]} {bound}" for name, bound in limits) or "a finite number"
    else:
        return value
    raise RecipeError(f"{problem}. Expected {expected}. Received: {_value_text(value)}.", item.name)


def _within(value: float, limits: Mapping[str, float]) -> bool:
    return math.isfinite(value) and all(_LIMITS[name][1](value, bound) for name, bound in limits.items())


def _section_type(item: Field) -> type[Section] | None:
    """The section that a field holds, `X | None` included."""
    for hint in get_args(item.type) or (item.type,):
        if issubclass(hint, Section):
            return hint
    return None


def _sub_section(section: type[Section], name: str, value: Any) -> Section:
    if not isinstance(value, Mapping):
        raise RecipeError(f"must be a section. Expected a table. Received: {_value_text(value)}.", name)
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


def _value_text(value: Any) -> str:
    """A value as TOML would show it, which is where the reader wrote it."""
    if isinstance(value, bool | str | int | float):
        return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")
    return f"{value!r} ({type(value).__name__})"


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
            flat.append((f"{prefix}{name}", _value_text(value)))
    return flat
