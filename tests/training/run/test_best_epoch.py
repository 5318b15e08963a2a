"""The best epoch, and when to stop."""

from math import nan

import pytest

from keras_attn.training.run.best_epoch import is_exhausted, ranked


def history(name, *values):
    """Entries of epochs 1, 2, ...; None where it was not measured."""
    return [{"epoch": n} | ({} if x is None else {name: x}) for n, x in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("monitor", "values", "order"),
    [
        ("val_loss", (3, 2, 5), [2, 1, 3]),
        ("val_perplexity", (7, 7, 5), [3, 1, 2]),
        ("val_bleu", (3, 2, 5), [3, 1, 2]),
        ("val_chrf", (3, None, 5), [3, 1]),
        ("val_exact_match", (0.5, 0.5), [1, 2]),
        ("val_loss", (nan, 2, nan), [2, 1, 3]),
        ("val_bleu", (nan, 2), [2, 1]),
        ("val_bleu", (None, None), []),
    ],
)
def test_ranked(monitor, values, order):
    assert [entry["epoch"] for entry in ranked(history(monitor, *values), monitor)] == order


@pytest.mark.parametrize(
    ("monitor", "values", "patience", "expected"),
    [
        ("val_loss", (3, 4, 5), 2, True),
        ("val_loss", (3, 4, 5), 3, False),
        ("val_loss", (3, 4, 2), 1, False),
        ("val_loss", (3, 3), 1, True),  # no better is no improvement
        ("val_bleu", (3, 4, 5), 1, False),
        ("val_bleu", (5, None, 4, None, 3), 2, True),
        ("val_bleu", (5, None, 4, None), 2, False),  # epochs without a measurement do not count
        ("val_loss", (3, 4, 5), 0, False),
        ("val_bleu", (None, None), 1, False),
    ],
)
def test_is_exhausted(monitor, values, patience, expected):
    assert is_exhausted(history(monitor, *values), monitor, patience) is expected
