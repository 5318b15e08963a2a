"""Answers of a signature as arrays: compared, cut into rows, and joined, with padding counted as nothing."""

import numpy as np

from keras_attn.export.verification.tolerance import FixedTolerance, is_exponential

# What fills up rows that are shorter than others.
_PADDING = {"O": b"", "b": False}


def as_arrays(outputs):
    """Outputs of any kind, tensors or lists, as a dictionary of NumPy arrays; texts as bytes."""
    return {name: _array(value) for name, value in outputs.items()}


def differences(expected, received, tolerance):
    """Differences of two answers.

    Texts, whole numbers and booleans have to be equal, other numbers within a bound; a perplexity through its
    logarithm. An axis that is longer on one side counts as padded on the other, unless it is the batch.

    Args:
        expected: a dictionary of output name to array.
        received: likewise.
        tolerance: of float numbers: a `RoundingTolerance`, or a number for `FixedTolerance`.

    Returns:
        A list of sentences; empty where both are the same.
    """
    if expected.keys() != received.keys():
        return [f"outputs are {sorted(received)} instead of {sorted(expected)}"]
    if isinstance(tolerance, float | int):
        tolerance = FixedTolerance(tolerance)
    found = (_difference(name, expected, received[name], tolerance) for name in expected)
    return [sentence for sentence in found if sentence]


def rows_of(answer, rows):
    """Some rows of an answer, by a list of their numbers or a slice."""
    return {name: array[rows] for name, array in answer.items()}


def joined(answers):
    """The rows of several answers in one, padded to the longest."""
    names = answers[0]
    return {name: np.concatenate(_padded([answer[name] for answer in answers])) for name in names}


def _array(value):
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    if array.dtype.kind not in "OUS":
        return array
    texts = [x if isinstance(x, bytes) else str(x).encode("utf-8", "surrogateescape") for x in array.flat]
    flat = np.empty(len(texts), object)
    flat[:] = texts
    return flat.reshape(array.shape)


def _difference(name, answer, received, tolerance):
    expected = answer[name]
    if expected.ndim != received.ndim or len(expected) != len(received):
        return f"`{name}` has shape {list(received.shape)} instead of {list(expected.shape)}"
    expected, received = _padded([expected, received])
    wrong = ~_equal(name, expected, received, answer, tolerance)
    if not wrong.any():
        return ""
    place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
    values = f"{received[place]!r} instead of {expected[place]!r}"
    return f"`{name}` is {values} at {list(place)} and differs at {int(wrong.sum())} places of {wrong.size}"


def _equal(name, expected, received, answer, tolerance):
    if expected.dtype.kind != "f":
        return expected == received
    same = received == expected
    with np.errstate(invalid="ignore", divide="ignore"):  # an infinity less itself, the logarithm of 0
        if is_exponential(name):
            expected, received = np.log(expected), np.log(received)
        close = np.abs(received - expected) <= tolerance.bounds(name, expected, answer)
    return close & np.isfinite(expected) | same


def _padded(arrays):
    """Arrays `[B, ...]` with all axes but the batch as long as the longest."""
    shape = np.max([array.shape[1:] for array in arrays], axis=0).astype(int)
    return [
        np.pad(
            array,
            [(0, 0), *((0, int(most - size)) for most, size in zip(shape, array.shape[1:], strict=True))],
            constant_values=_PADDING.get(array.dtype.kind, 0),
        )
        for array in arrays
    ]
