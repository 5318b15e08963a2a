"""Parameters of a test, of which `make test` takes a few and `make test-all` every one."""

import pytest


def few(values, *kept):
    """Marks values as `exhaustive` but for those that are kept.

    Args:
        values: names, as a dict's keys; or tuples of them, where a test has several parameters.
        *kept: those that `make test` runs. The others repeat in another combination what is proven already.

    Raises:
        ValueError: if one that is kept is no value.
    """
    values = list(values)
    if unknown := [value for value in kept if value not in values]:
        raise ValueError(f"`kept` has what is no value. Expected some of {values}. Received: {unknown}")
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            marks=() if value in kept else pytest.mark.exhaustive,
            id="-".join(map(str, value)) if isinstance(value, tuple) else str(value),
        )
        for value in values
    ]
