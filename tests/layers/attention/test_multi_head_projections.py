"""What goes together and what is refused."""

import pytest

from keras_attn.layers.attention.multi_head_projections import IMPLEMENTATIONS, check_call, check_options


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_what_every_implementation_does(implementation):
    check_options(implementation, 0.0, 3 if implementation == "windowed" else None)
    check_call(implementation)


@pytest.mark.parametrize("implementation", ["full", "windowed"])
def test_dropout_goes_with_two(implementation):
    check_options(implementation, 0.1, 3 if implementation == "windowed" else None)


def test_full_attention_returns_its_weights():
    check_call("full", return_attention_scores=True)


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
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        check_options(**options)


@pytest.mark.parametrize("implementation", ["blockwise", "windowed"])
def test_calls_that_would_need_all_weights(implementation):
    with pytest.raises(ValueError, match=f"never exist as a whole in {implementation} attention"):
        check_call(implementation, return_attention_scores=True)
