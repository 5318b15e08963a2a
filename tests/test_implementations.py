"""What goes together and what is refused."""

import numpy as np
import pytest

from keras_attn.implementations import IMPLEMENTATIONS, check_call, check_options
from keras_attn.relative_positions import ALiBiPositions, RotaryPositions, ShawPositions, T5Positions


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("scheme", [RotaryPositions, ALiBiPositions])
def test_schemes_without_weights_go_with_all(implementation, scheme):
    window = 3 if implementation == "windowed" else None
    check_options(implementation, 0.0, scheme(), window)


@pytest.mark.parametrize("implementation", ["full", "windowed"])
def test_dropout_and_learned_schemes_go_with_two(implementation):
    check_options(implementation, 0.1, ShawPositions(3), 3 if implementation == "windowed" else None)


def test_full_attention_takes_every_call():
    check_call("full", np.ones((2, 3, 5), bool), return_attention_scores=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"implementation": "flash"}, r"Expected one of \('full', 'blockwise', 'windowed'\).*'flash'"),
        (
            {"implementation": "full", "window": 3},
            r"`window` is for windowed.*window=3. Give implementation=",
        ),
        ({"implementation": "windowed"}, r"`window` must be a whole number of at least 1.*window=None"),
        ({"implementation": "windowed", "window": 0}, r"`window` must be a whole number.*window=0"),
        (
            {"implementation": "blockwise", "dropout": 0.1},
            r"keeps no weights that could be dropped.*dropout=0.1",
        ),
        (
            {"implementation": "blockwise", "relative_positions": ShawPositions(3)},
            r"does not reach learned `relative_positions`.*ShawPositions.*or use implementation='full'",
        ),
        (
            {"implementation": "blockwise", "relative_positions": T5Positions()},
            r"does not reach learned `relative_positions`.*T5Positions",
        ),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        check_options(**options)


@pytest.mark.parametrize("implementation", ["blockwise", "windowed"])
def test_calls_that_would_need_all_weights(implementation):
    with pytest.raises(ValueError, match=f"never exist as a whole in {implementation} attention"):
        check_call(implementation, return_attention_scores=True)
    with pytest.raises(ValueError, match=rf"{implementation} attention avoids.*shape \(2, 3, 5\)"):
        check_call(implementation, np.ones((2, 3, 5), bool))
