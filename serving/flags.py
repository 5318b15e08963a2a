"""Command-line flags in TensorFlow's syntax: `--name=value` or `--name value`."""

from __future__ import annotations

import dataclasses

from .options import Options

_FIELDS = {option.name: option for option in dataclasses.fields(Options)}


class FlagError(Exception):
    """A flag that cannot be used; the text is one sentence for the user."""


def parse_flags(argv: list[str]) -> tuple[Options, list[str]]:
    """Reads the flags of a server.

    Args:
        argv: arguments without the program's name.

    Returns:
        The options, and the arguments that are no known flags.

    Raises:
        FlagError: a known flag has no value or one of the wrong type.
    """
    values: dict[str, object] = {}
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
        if not equals:
            if not rest:
                raise FlagError(f"flag --{name} has no value. Expected --{name}=<{option.type}>.")
            text = rest.pop(0)
        values[name] = _value(option, text)
    return Options(**values), unknown


def _value(option: dataclasses.Field, text: str) -> object:
    if option.type == "str":
        return text
    try:
        return int(text)
    except ValueError as error:
        raise FlagError(
            f"flag --{option.name} expects a whole number. Received: {text!r}. Write for example"
            f" --{option.name}=1."
        ) from error


def check_options(options: Options) -> None:
    """Checks what can be known before a model is loaded.

    Raises:
        FlagError: a flag is missing, out of range or contradicts another.
    """
    path = options.model_base_path
    if not path:
        raise FlagError(
            "flag --model_base_path is missing. Expected the absolute path of a directory with a"
            " SavedModel in each of 1, 2, ..."
        )
    if not path.startswith("/"):
        raise FlagError(
            f"Expected model {options.model_name} to have an absolute path or URI;"
            f" got base_path()={path}. Start the path with /."
        )
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(options, name) < 65536:
            raise FlagError(
                f"flag --{name} expects a port from 0 to 65535. Received: {getattr(options, name)}."
            )
    for name in ("rest_api_num_threads", "grpc_max_threads"):
        if getattr(options, name) < 1:
            raise FlagError(f"flag --{name} expects 1 or more. Received: {getattr(options, name)}.")


def usage() -> str:
    """Returns the list of flags with their defaults."""
    defaults = Options()
    lines = ["Flags:"]
    for name, option in _FIELDS.items():
        default = getattr(defaults, name)
        lines.append(f"  --{name}={default!s:<8} {option.type:<4} {option.metadata['help']}")
    return "\n".join(lines)
