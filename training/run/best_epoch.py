"""The best epoch of a history, and early stopping."""

import math
from typing import Any, TypeAlias

from keras_attn.training.recipe.monitors import DECODED

# One dictionary per epoch, as `history.json` holds it.
History: TypeAlias = list[dict[str, Any]]


def ranked(history: History, monitor: str) -> History:
    """The entries in which `monitor` was measured, the best first; of equal ones the earlier first.

    Args:
        history: one dictionary an epoch.
        monitor: one of `MONITORS`. What is no number counts as the worst.

    >>> ranked([{"epoch": 1, "val_loss": 3}, {"epoch": 2, "val_loss": 2}], "val_loss")[0]["epoch"]
    2
    """
    sign = -1 if monitor in DECODED else 1
    measured = [entry for entry in history if monitor in entry]
    return sorted(measured, key=lambda entry: (math.isnan(entry[monitor]), sign * entry[monitor]))


def is_exhausted(history: History, monitor: str, patience: int) -> bool:
    """Whether the last `patience` epochs in which `monitor` was measured brought no new best.

    It follows from the history alone, so that a resumed run stops where an unbroken one does.

    Args:
        history: one dictionary an epoch.
        monitor: one of `MONITORS`.
        patience: number of epochs; 0 never gives up.

    >>> losses = [{"epoch": 1, "val_loss": 2}, {"epoch": 2, "val_loss": 3}, {"epoch": 3, "val_loss": 4}]
    >>> is_exhausted(losses, "val_loss", 2), is_exhausted(losses, "val_loss", 3)
    (True, False)
    """
    measured = [entry for entry in history if monitor in entry]
    if not patience or not measured:
        return False
    return len(measured) - 1 - measured.index(ranked(measured, monitor)[0]) >= patience
