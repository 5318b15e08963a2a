"""The inputs of a predict request in JSON: `instances`, row by row, or `inputs`, column by column."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping

import numpy as np

from keras_attn.serving.errors import ServingError, invalid
from keras_attn.serving.inference.signatures import Signature, TensorInfo
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.tensor import is_base64, to_array

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


def _read_columns(value: object, signature: Signature) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or is_base64(value):
        infos = _needed(signature, ())
        if len(infos) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors"
                " required as per tensorinfo_map"
            )
        return {name: to_array(value, info) for name, info in infos.items()}
    inputs = {}
    for name, info in _needed(signature, value).items():
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        inputs[name] = to_array(value[name], info)
    _check_names(value, signature)
    return inputs


def _check_names(given: Iterable[str], signature: Signature) -> None:
    """Refuses names that a column form does not have, but only where a default stands in for another name.

    The stock server takes no request without all inputs, and ignores what comes on top of them. Here a name
    that is misspelt would do the same as none at all.
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
    given = {name for element in instances if _is_named(element) for name in element}
    infos = _needed(signature, given)
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map"
        )
    columns = _columns_at_once(instances, infos)
    return columns if columns is not None else _columns_row_by_row(instances, infos)


def _is_named(element: object) -> bool:
    return isinstance(element, dict) and not is_base64(element)


def _columns_at_once(instances: list, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray] | None:
    """Converts whole columns, or returns None where something is wrong and must be located."""
    try:
        if not any(_is_named(element) for element in instances):
            # Plain values feed one input, and whoever counts the inputs later misses the others.
            name, info = next(iter(infos.items()))
            return {name: to_array(instances, info)}
        if all(_is_named(element) and _has_each_once(element, infos) for element in instances):
            return {n: to_array([element[n] for element in instances], i) for n, i in infos.items()}
    except ServingError:
        pass
    return None


def _has_each_once(element: dict, infos: Mapping[str, TensorInfo]) -> bool:
    return len(element) == len(infos) and element.keys() == infos.keys()


def _columns_row_by_row(instances: list, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    named = _is_named(instances[0])
    columns: dict[str, list[np.ndarray]] = {name: [] for name in infos}
    for number, element in enumerate(instances):
        if _is_named(element) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {expected} but got {got} at item {number} of input list")
        if not named:
            _add_row(columns, next(iter(infos)), element, infos, f"{number}")
            continue
        for name, value in element.items():
            _add_row(columns, name, value, infos, f"{number} key: {name}")
        if element.keys() != infos.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {dump_json(element)}"
                f" keys must be equal to: {','.join(sorted(infos))}"
            )
    # Of equal keys in one row, the stock server puts every value into the tensor, and then reads as many as
    # there are rows: the rows that follow move back, and the last values are not used.
    return {name: np.stack(rows[: len(instances)]) for name, rows in columns.items() if rows}


def _add_row(
    columns: dict[str, list[np.ndarray]],
    name: str,
    value: object,
    infos: Mapping[str, TensorInfo],
    place: str,
) -> None:
    try:
        if name not in infos:
            raise invalid(f"JSON object: does not have named input: {name}")
        row = to_array(value, infos[name])
        first = columns[name][0] if columns[name] else row
        if row.size != first.size:
            raise invalid(f"Expecting tensor size: {first.size} but got: {row.size}")
        if row.shape != first.shape:
            raise invalid(f"Expecting shape {_shape(first)} but got: {_shape(row)}")
    except ServingError as error:
        raise invalid(f"Failed to process element: {place} of 'instances' list. Error: {error}") from error
    columns[name].append(row)


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(str(size) for size in array.shape) + "]"
