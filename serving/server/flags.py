"""Command-line flags in TensorFlow's syntax: `--name=value`, and `--name` alone for what is on or off."""

from __future__ import annotations

import dataclasses
from math import inf
from typing import Any

from keras_attn.errors import UserError
from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.server.options import Options

_FIELDS = {option.name: option for option in dataclasses.fields(Options)}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class FlagError(UserError):
    """A flag that cannot be used; the text is one sentence for the user."""


def parse_flags(argv: list[str]) -> tuple[Options, list[str]]:
    """Reads the flags of a server. `--name value` is taken as well, except for booleans.

    Args:
        argv: arguments without the program's name.

    Returns:
        The options, and the arguments that are no known flags.

    Raises:
        FlagError: a known flag has no value or one of the wrong type.
    """
    values: dict[str, Any] = {}
    unknown = []
    rest = list(argv)
    while rest:
        argument = rest.pop(0)
        name, equals, text = argument.lstrip("-").partition("=")
        option = _FIELDS.get(name) if argument.startswith("-") else None
        if option is None:
            unknown.append(argument)
            if argument.startswith("-") and not equals and rest and not rest[0].startswith("-"):
                unknown[-1] = f"{argument} {rest.pop(0)}"
            continue
        if not equals and option.type == "bool":
            text = "true"
        elif not equals:
            if not rest:
                raise FlagError(f"flag --{name} has no value. Expected --{name}=<{option.type}>.")
            text = rest.pop(0)
        values[name] = _value(option, text)
    return Options(**values), unknown


def _value(option: dataclasses.Field, text: str) -> object:
    kind = str(option.type)
    if option.type == "str":
        return text
    expected, example = {
        "int": ("a whole number", "1"),
        "float": ("a number", "0.5"),
        "bool": ("true or false", "true"),
    }[kind]
    read: Any = {
        "int": int,
        "float": float,
        "bool": lambda word: _BOOLEANS[word.lower()],
    }[kind]
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise FlagError(
            f"flag --{option.name} expects {expected}. Received: {text!r}. Write for example"
            f" --{option.name}={example}."
        ) from error


def check_options(options: Options) -> None:
    """Checks what can be known before a model is loaded.

    Raises:
        FlagError: a flag is out of range, or asks for what there is not.
        ServingError: two flags contradict each other, or none names a model.
    """
    for name, option in _FIELDS.items():
        if "range" not in option.metadata:
            continue
        (low, high), value = option.metadata["range"], getattr(options, name)
        if not low <= value <= high:
            expected = f"{low} or more" if high == inf else f"a port from {low} to {high}"
            raise FlagError(f"flag --{name} expects {expected}. Received: {value}.")
    if options.mixed_precision not in ("", "bfloat16"):
        raise FlagError(
            f"flag --mixed_precision expects bfloat16. Received: {options.mixed_precision!r}. Leave it out"
            " for full precision."
        )
    _check_together(options)


def _check_together(options: Options) -> None:
    if options.use_alts_credentials:
        raise ServingError(
            Code.UNIMPLEMENTED,
            "use_alts_credentials is not supported. Use ssl_config_file for an encrypted port.",
        )
    if not options.model_base_path and not options.model_config_file:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if options.enable_batching or not options.batching_parameters_file:
        return
    raise invalid(
        "server_options.batching_parameters_file is set without setting server_options.enable_batching to"
        " true."
    )


def usage() -> str:
    """Returns the list of flags with their defaults."""
    defaults = Options()
    lines = ["usage: python -m keras_attn.serving", "Flags:"]
    for name, option in _FIELDS.items():
        default = getattr(defaults, name)
        text = str(default).lower() if option.type == "bool" else repr(default)
        lines.append(f"\t--{name}={text:<31}\t{option.type}\t{option.metadata['help']}")
    return "\n".join(lines)
