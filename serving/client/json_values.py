"""What may be given to `predict` of either client; standard library only."""

from __future__ import annotations


def check_rows(inputs: object, method: str = "predict") -> None:
    """Refuses a text alone: models take lists of texts, and what they say of a single one helps nobody.

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
