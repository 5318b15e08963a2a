"""Checks of a model's arguments against the signature of its constructor."""

import numbers
from difflib import get_close_matches
from typing import Any

from keras_attn.families.arguments import Argument, arguments_of_class

_OF_KERAS = ("name", "trainable")


def check_arguments(model_class: type, settings: dict[str, Any], others: dict[str, Any]) -> None:
    """Checks the names and the values of a constructor's arguments.

    Args:
        model_class: the class of the model.
        settings: the values of the constructor's own arguments, by name.
        others: the constructor's `**kwargs`, which Keras would ignore if it did not know them.

    Raises:
        TypeError: names the unknown argument, and the one that was probably meant.
        ValueError: for a choice that is unknown, or a number outside its limits.
    """
    arguments = arguments_of_class(model_class)
    for name in others:
        if name not in _OF_KERAS:
            _refuse(model_class, [argument.name for argument in arguments], name, others[name])
    for argument in arguments:
        value = settings.get(argument.name)
        if value is None and (argument.optional or argument.name not in settings):
            continue
        if argument.choices:
            _check_choice(argument, value)
        if argument.limits:
            _check_limits(argument, value)


def _refuse(model_class, own, name, value):
    similar = get_close_matches(name, own, n=1)
    meant = f" Did you mean `{similar[0]}`?" if similar else ""
    raise TypeError(
        f"`{model_class.__name__}` has no argument `{name}`.{meant} Expected some of "
        f"{', '.join([*own, *_OF_KERAS])}. Received: {name}={value!r}."
    )


def _check_choice(argument: Argument, value: Any) -> None:
    others = tuple(kind for kind in argument.types if kind is not str)
    if value in argument.choices if isinstance(value, str) else isinstance(value, others):
        return
    expected = f"{'None or ' if argument.optional else ''}one of {argument.choices}"
    raise ValueError(
        f"`{argument.name}` is unknown. Expected {expected}. Received: {argument.name}={value!r}."
    )


def _check_limits(argument: Argument, value: Any) -> None:
    minimum, below = (argument.limits.get(name) for name in ("minimum", "below"))
    whole = float not in argument.types
    kind: Any = numbers.Integral if whole else numbers.Real
    if (
        isinstance(value, kind)
        and not isinstance(value, bool)
        and (minimum is None or value >= minimum)
        and (below is None or value < below)
    ):
        return
    bounds = [f"at least {minimum}"] * (minimum is not None) + [f"less than {below}"] * (below is not None)
    raise ValueError(
        f"`{argument.name}` must be a {'whole ' if whole else ''}number of {' and '.join(bounds)}. "
        f"Received: {argument.name}={value!r}."
    )
