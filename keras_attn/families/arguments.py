"""The arguments of a model's constructor with their types, choices and limits, read from its annotations."""

import ast
import builtins
import inspect
import types
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

_ROOT = Path(__file__).parents[2]
# Modules without Keras: names of any other one are types that only a program can give.
_LIGHT = ("collections.abc", "typing", "keras_attn.typing")
REQUIRED = inspect.Parameter.empty


class Argument(NamedTuple):
    """One argument of a constructor.

    Attributes:
        name: of the argument.
        default: `REQUIRED` without one.
        types: the classes of its values, of generic ones the origin. Empty without annotation.
        choices: the strings that are allowed; empty allows all.
        limits: bounds of a number, as in `Annotated[int, ("minimum", 1)]`: `minimum` or `below`.
        optional: whether None is allowed.
        positional: whether it may be given without its name.
    """

    name: str
    default: Any
    types: tuple[Any, ...]
    choices: tuple[str, ...]
    limits: dict[str, float]
    optional: bool
    positional: bool


def arguments_of_class(family: type) -> tuple[Argument, ...]:
    """The arguments of a class that is loaded.

    Args:
        family: the class.

    Returns:
        Its constructor's arguments, without `self` and `**kwargs`.
    """
    return _arguments(inspect.signature(family, eval_str=True))


@cache
def arguments_of_source(path: str) -> tuple[Argument, ...]:
    """The arguments of a class of this package, read from its source: its module would load Keras.

    Args:
        path: module and name of the class, `"keras_attn.models.recurrent.RecurrentSeq2Seq"`.

    Returns:
        As `arguments_of_class`, but types whose modules load Keras are `object`.
    """
    module, _, name = path.rpartition(".")
    source = _ROOT.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
    (family,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    (init,) = (node for node in family.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in _LIGHT]
    names = _Names()
    exec(compile(ast.Module([*imports, init], []), str(source), "exec"), {}, names)
    return _arguments(inspect.signature(names["__init__"]))


class _Names(dict):
    """A namespace in which an unknown name is `object`."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, object)


def _arguments(signature: inspect.Signature) -> tuple[Argument, ...]:
    return tuple(
        _argument(parameter)
        for parameter in signature.parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    )


def _argument(parameter: inspect.Parameter) -> Argument:
    found: list[Any] = []
    choices: list[str] = []
    limits: dict[str, float] = {}
    for part in _parts(parameter.annotation):
        if get_origin(part) is Literal:
            choices += get_args(part)
        elif get_origin(part) is Annotated:
            found.append(get_args(part)[0])
            limits |= dict(part.__metadata__)
        else:
            found.append(get_origin(part) or part)
    return Argument(
        parameter.name,
        parameter.default,
        tuple(dict.fromkeys([*found, *map(type, choices)])) if found or choices else (),
        () if str in found else tuple(choices),
        limits,
        type(None) in found,
        parameter.kind is not parameter.KEYWORD_ONLY,
    )


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the annotation itself; nothing for `Any` or no annotation."""
    if annotation in (Any, REQUIRED):
        return ()
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
