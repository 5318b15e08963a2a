from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_attn.serving.json.dump import LIMIT_BYTES, dump_json, number_text

QUICK = settings(max_examples=73, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (2**64, "18446744073709552000.0"),
        (100.0, "100.0"),
        (float("nan"), ""),
        ('a"é', '"a\\"é"'),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2, {"a": 3}]], '[1, [2, {\n            "a": 3\n        }]]'),
        ({"a": [], "b": {"c": 1.5}}, '{\n    "a": [],\n    "b": {\n        "c": 1.5\n    }\n}'),
    ],
)
def test_dump(value, text):
    assert dump_json(value) == text


def test_a_long_value_is_cut():
    text = dump_json({"instances": list(range(10_007))})
    assert LIMIT_BYTES <= len(text) < LIMIT_BYTES + 7
    assert dump_json("x" * 1009) == '"' + "x" * 1009 + '"'


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        (["x" * 252, 1, 2], '["' + "x" * 252 + '", 1'),  # 255 bytes: one more value, with its comma
        (["x" * 253, 1, 2], '["' + "x" * 253 + '"'),
        (["x" * 254], '["' + "x" * 254 + '"'),  # not even the bracket
        ({"k" * 300: 1}, '{\n    "' + "k" * 300 + '"'),  # a key ends it without its colon
        ({"a": "x" * 300, "b": 1}, '{\n    "a": "' + "x" * 300 + '"'),
        ([1, float("nan"), 2], "[1, "),
    ],
)
def test_the_cut_is_behind_a_token(value, cut):
    assert dump_json(value) == cut


def test_strings_are_escaped_as_in_replies():
    assert dump_json({"\x1f": "\x7f/\n"}) == '{\n    "\\u001F": "\x7f/\\n"\n}'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.5, "1.5"),
        (120.0, "120.0"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (1.25e22, "1.25e22"),
        (0.001, "0.001"),
        (1.5e-7, "1.5e-7"),
    ],
)
def test_number_text(number, text):
    assert number_text(number) == text


@QUICK
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_reads_back_equal(number):
    assert float(number_text(number)) == number
