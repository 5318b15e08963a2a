"""The values of a client's user as JSON and back."""

from __future__ import annotations

import base64


def check_rows(inputs: object, method: str = "predict") -> None:
    """Refuses a bare string: models take lists of texts, and their own error for one does not help.

    Args:
        inputs: the value of the only input, or input name -> value.
        method: name of the method that was called.

    Raises:
        TypeError: it is a `str` or `bytes`.
    """
    if isinstance(inputs, (str, bytes)):
        text = inputs[:40]
        raise TypeError(
            f"{method}() takes a list, with a text for each row. Write [{text!r}], or"
            f" {{name of the input: {text!r}}} where the model takes one text without rows."
            f" Received: {type(inputs).__name__}."
        )


def to_json(value: object) -> object:
    """Converts nested lists, tuples, dicts, arrays and tensors; bytes become base64 objects."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if hasattr(value, "numpy"):  # a TensorFlow tensor
        return to_json(value.numpy())
    return to_json(value.tolist()) if hasattr(value, "tolist") else value


def read_outputs(reply: dict) -> object:
    """Returns the values of a predict reply, in row or column form."""
    return from_json(reply["predictions" if "predictions" in reply else "outputs"])


def from_json(value: object) -> object:
    """Converts parsed JSON; base64 objects become bytes."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"b64"}:
        return base64.b64decode(value["b64"])
    return {key: from_json(item) for key, item in value.items()}
