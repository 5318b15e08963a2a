"""The `[model]` section of a recipe: the keyword arguments of the family's constructor, named by `kind`.

Fields, types, choices and limits come from the constructor's signature (`keras_attn.families`). A default
differs from the constructor's only where `_DEFAULTS` says so. TOML has no null: "none" gives None where that
is not the default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, make_dataclass
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Self

from keras_attn.families.arguments import REQUIRED, Argument
from keras_attn.families.presets import preset_settings
from keras_attn.families.registry import family_arguments, family_kinds
from keras_attn.training.recipe import model_checks
from keras_attn.training.recipe.section import RecipeError, Section, option, value_text

NONE = "none"
_DEFAULT_KIND = "recurrent"
# Models of a recipe are regularised and small enough for one machine.
_SMALL = {"embedding_dim": 256, "num_heads": 4, "hidden_dim": 1024}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "recurrent": {"dropout": 0.2},
    "convolutional": {"dropout": 0.2},
    "transformer": {
        **_SMALL,
        "num_encoder_layers": 3,
        "num_decoder_layers": 3,
        "share_embeddings": "target",
    },
    "language_model": _SMALL,
}
_CHOICES = {"activation": ("relu", "gelu", "silu")}
_CHECKS = {
    "convolutional": model_checks.check_convolutions,
    "transformer": model_checks.check_self_attention,
    "language_model": model_checks.check_self_attention,
}
# The types of TOML's values, and the types of the arguments that take them. `bool` is an `int`.
_TOML_TYPES = {bool: bool, int: int, float: float, str: str, tuple: Sequence, dict: Mapping}
_MADE: dict[str, tuple[tuple[Argument, ...], type["ModelSection"]]] = {}


@dataclass(frozen=True, kw_only=True)
class ModelSection(Section):
    """A `[model]` section; `model_section` makes one of a family."""

    one_vocabulary: ClassVar[bool] = False  # whether source and target are one sequence
    nullable: ClassVar[frozenset[str]] = frozenset()  # fields in which "none" gives None

    kind: str

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Makes the section of the family that the table's `kind` names."""
        if cls is ModelSection:
            family: Any = _section_class(table.get("kind", _DEFAULT_KIND))
            return family.from_dict(table)
        return super().from_dict(table)

    def check(self) -> None:
        """Checks fields against each other."""
        _CHECKS.get(self.kind, lambda section: None)(self)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments of the model's class."""
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "kind"}
        return values | {name: None for name in self.nullable if values[name] == NONE}


def model_section(kind: str = _DEFAULT_KIND, **values: Any) -> ModelSection:
    """Makes a `[model]` section.

    Args:
        kind: the name of a family.
        **values: fields that differ from the defaults.

    Raises:
        RecipeError: for an unknown family, or a value that is not allowed.
    """
    return _section_class(kind)(**values)


def with_preset(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replaces the preset that a `[model]` table names by its settings; the table's own values win.

    >>> with_preset({"preset": "transformer_tiny", "dropout": 0.1})["dropout"]
    0.1
    """
    table = dict(table)
    try:
        preset = preset_settings(table.pop("preset"))
    except ValueError as error:
        raise RecipeError(str(error).removeprefix("`preset` "), "preset") from None
    return {name: NONE if value is None else value for name, value in preset.items()} | table


def _section_class(kind: Any) -> type[ModelSection]:
    """The section of a family: the same class again as long as the constructor is the same."""
    if kind not in family_kinds():
        expected = ", ".join(f'"{known}"' for known in family_kinds())
        raise RecipeError(
            f"is no known choice. Expected one of {expected}. Received: {value_text(kind)}.", "kind"
        )
    arguments = family_arguments(kind)
    if kind not in _MADE or _MADE[kind][0] != arguments:
        _MADE[kind] = arguments, _derive(kind, arguments)
    return _MADE[kind][1]


def _derive(kind: str, arguments: tuple[Argument, ...]) -> type[ModelSection]:
    """Makes the class of a section out of a constructor's arguments."""
    fields_of_recipe: list[tuple[str, Any, Any]] = [("kind", str, option(kind, choices=(kind,)))]
    nullable: set[str] = set()
    for argument in arguments:
        types = {} if argument.positional or argument.name == "dtype" else _toml_types(argument)
        if not types:
            continue
        default = _DEFAULTS.get(kind, {}).get(argument.name, argument.default)
        choices = _CHOICES.get(argument.name, argument.choices)
        if argument.optional and default is None:
            types[type(None)] = None
        elif argument.optional:
            nullable.add(argument.name)
            types[str], choices = None, (*choices, NONE)
        default = MISSING if default is REQUIRED else tuple(default) if type(default) is list else default
        item = option(default, choices=choices, **argument.limits)
        fields_of_recipe.append((argument.name, reduce(or_, types), item))
    positional = [argument.name for argument in arguments if argument.positional]
    namespace = {"one_vocabulary": positional == ["vocabulary_size"], "nullable": frozenset(nullable)}
    name = kind.title().replace("_", "") + "Section"
    return make_dataclass(
        name, fields_of_recipe, bases=(ModelSection,), namespace=namespace, frozen=True, kw_only=True
    )


def _toml_types(argument: Argument) -> dict[type, None]:
    """The types that a recipe has for an argument, as ordered keys; of its default without annotation."""
    known = argument.types or (() if argument.default in (None, REQUIRED) else (type(argument.default),))
    found: dict[type, None] = {}
    for kind in known:
        for toml, base in _TOML_TYPES.items():
            if isinstance(kind, type) and issubclass(kind, base):
                found[toml] = None
                break
    return found if known else dict.fromkeys(_TOML_TYPES)
