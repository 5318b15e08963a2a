"""The rows of a predict request to one array per input: columns first, then one conversion per column."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from keras_attn.serving.errors import ServingError, invalid
from keras_attn.serving.inference.signatures import TensorInfo
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.tensor import is_base64, to_array
from keras_attn.serving.protos.data_types import shape_text

_Place = tuple[float, int]  # number of a row and of a member in it: compares as the body is read
_END: _Place = (math.inf, 0)


def is_named(element: object) -> bool:
    """Returns whether a value is an object of named inputs, and not one that encodes bytes."""
    return isinstance(element, dict) and not is_base64(element)


def rows_to_arrays(instances: list, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    """Converts rows.

    Args:
        instances: a row each: an object with a value for each input, or a value of the first input.
        infos: the inputs to feed.

    Returns:
        Input name -> array whose first dimension is that of the rows.

    Raises:
        ServingError: a row does not fit; of several errors, the one of the first place in the body.
    """
    columns: dict[str, list[object]] = {name: [] for name in infos}
    errors: list[tuple[_Place, ServingError]] = []
    has_names = is_named(instances[0])
    try:
        if has_names:
            _fill(columns, instances)
        else:
            _fill_first(next(iter(columns.values())), instances)
    except ServingError as error:
        errors.append((_END, error))  # errors of the values read before it come first
    arrays = {}
    for name, values in columns.items():
        if not values:
            continue
        try:
            arrays[name] = to_array(values, infos[name])
        except ServingError as error:
            places = _places(name, instances) if has_names else ((row, 0) for row in itertools.count())
            errors.append(_first_misfit(name * has_names, values, places, infos[name]) or (_END, error))
    if errors:
        raise min(errors, key=lambda error: error[0])[1]
    # Of equal keys in one row, TensorFlow Serving puts every value into the tensor, and then reads as many as
    # there are rows: later rows move back, and the last values are not used.
    return {name: array[: len(instances)] for name, array in arrays.items()}


def _fill(columns: Mapping[str, list[object]], instances: list) -> None:
    for number, element in enumerate(instances):
        if not is_named(element):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        for name, value in element.items():
            if name not in columns:
                raise _located(number, name, invalid(f"JSON object: does not have named input: {name}"))
            columns[name].append(value)
        if element.keys() != columns.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {dump_json(element)}"
                f" keys must be equal to: {','.join(sorted(columns))}"
            )


def _fill_first(column: list[object], instances: list) -> None:
    """Fills a column with plain values. Only one input is fed; the caller counts them later."""
    number = next((number for number, element in enumerate(instances) if is_named(element)), None)
    column += instances[:number]
    if number is not None:
        raise invalid(f"Expecting value/list but got object at item {number} of input list")


def _places(name: str, instances: list) -> Iterator[_Place]:
    """The places of an input's values, as far as rows have names."""
    for row, element in enumerate(instances):
        yield from ((row, member) for member, (key, _) in enumerate(element.items()) if key == name)


def _first_misfit(
    name: str, values: list[object], places: Iterator[_Place], info: TensorInfo
) -> tuple[_Place, ServingError] | None:
    """The error of the first value that does not fit its type or the values before it."""
    first = None
    for value, place in zip(values, places, strict=False):  # rows may end in one that is refused
        try:
            row = to_array(value, info)
            first = row if first is None else first
            if row.size != first.size:
                raise invalid(f"Expecting tensor size: {first.size} but got: {row.size}")
            if row.shape != first.shape:
                raise invalid(f"Expecting shape {shape_text(first)} but got: {shape_text(row)}")
        except ServingError as error:
            return place, _located(place[0], name, error)
    return None


def _located(number: float, name: str, error: ServingError) -> ServingError:
    place = f"{number} key: {name}" if name else f"{number}"
    return invalid(f"Failed to process element: {place} of 'instances' list. Error: {error}")
