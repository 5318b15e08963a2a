"""The inputs of a predict request in JSON: `instances`, row by row, or `inputs`, column by column."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable
from typing import Any

import numpy as np

from keras_attn.serving.errors import ServingError, invalid
from keras_attn.serving.inference.signatures import Signature, TensorInfo
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.rows import is_named, rows_to_arrays
from keras_attn.serving.json.tensor import to_array

_MOST_NAMED = 7


def signature_name(document: dict) -> str:
    """Returns the signature that a request names, empty if it names none.

    Raises:
        ServingError: the name is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {dump_json(document)} not formatted correctly."
            " 'signature_name' key must be a string value."
        )
    return name


def read_inputs(document: dict, signature: Signature, asked_name: str) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the input tensors of a predict request.

    Args:
        document: the parsed body.
        signature: the signature to feed.
        asked_name: signature name as the request has it, for error texts.

    Returns:
        input name -> array, and whether the request is in row form (`instances`).

    Raises:
        ServingError: neither or both keys, or values that do not fit the signature.
    """
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {asked_name or 'DEFAULT'}")
    if "instances" not in document:
        if "inputs" not in document:
            raise invalid("Missing 'inputs' or 'instances' key")
        return _read_columns(document["inputs"], signature), False
    if "inputs" in document:
        raise _format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    instances = document["instances"]
    if not isinstance(instances, list):
        raise _format_error(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _format_error(document, "No values in 'instances' array")
    return _read_rows(instances, signature), True


def _format_error(document: dict, problem: str) -> ServingError:
    return invalid(f"JSON Value: {dump_json(document)} {problem}")


def _read_columns(value: Any, signature: Signature) -> dict[str, np.ndarray]:
    named = is_named(value)
    infos = _needed(signature, value if named else ())
    if not named and len(infos) > 1:
        raise invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors"
            " required as per tensorinfo_map"
        )
    inputs = {}
    for name, info in infos.items():
        if named and name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        inputs[name] = to_array(value[name] if named else value, info)
    if named:
        _check_names(value, signature)
    return inputs


def _check_names(given: Iterable[str], signature: Signature) -> None:
    """Refuses unknown names in a column form, but only if an input with a default is left out.

    TensorFlow Serving requires all inputs and ignores further names. Here a misspelt name would silently
    select the default.
    """
    unknown = sorted(set(given) - set(signature.inputs))[:_MOST_NAMED]
    left_out = sorted(set(signature.inputs) - set(given))
    if not unknown or not left_out:
        return
    near = [match for name in unknown for match in difflib.get_close_matches(name, left_out, n=1)]
    hint = f" Did you mean {near[0]}?" if near else ""
    raise invalid(
        f"Unknown named input: {','.join(unknown)} in 'inputs' object.{hint} Inputs that may be given:"
        f" {','.join(sorted(signature.inputs))}"
    )


def _needed(signature: Signature, given: Container[str]) -> dict[str, TensorInfo]:
    """Returns the inputs that a request must carry: those it names, and those without a default.

    A signature whose inputs all have defaults is fed by its first one.
    """
    infos, defaults = signature.inputs, signature.defaults
    needed = {name: info for name, info in infos.items() if name in given or name not in defaults}
    return needed or dict(list(infos.items())[:1])


def _read_rows(instances: list, signature: Signature) -> dict[str, np.ndarray]:
    infos = _needed(signature, set().union(*filter(is_named, instances)))
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map"
        )
    return rows_to_arrays(instances, infos)
