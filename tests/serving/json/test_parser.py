from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_attn.serving.errors import ServingError
from keras_attn.serving.json.inputs import signature_name
from keras_attn.serving.json.parser import encode_text, parse_json, parse_object
from keras_attn.serving.json.strict_parser import parse_strict

QUICK = settings(max_examples=73, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("body", "problem", "offset"),
    [
        (b"  ", "The document is empty.", 2),
        (b"}", "The document is empty.", 0),
        (b"x", "Invalid value.", 0),
        (b"[1,", "Invalid value.", 3),
        (b"[-]", "Invalid value.", 2),
        (b"[nul]", "Invalid value.", 4),
        (b"1.", "Miss fraction part in number.", 2),
        (b"1e", "Miss exponent in number.", 2),
        (b'{"a"', "Missing a colon after a name of object member.", 4),
        (b'{"a":1,}', "Missing a name for object member.", 7),
        (b"{a:1}", "Missing a name for object member.", 1),
        (b'{"a":1 "b"', "Missing a comma or '}' after an object member.", 7),
        (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string.", 2),
        (b'["\\ud800\\u0041"]', "The surrogate pair in string is invalid.", 2),
        (b'["\\x"]', "Invalid escape character in string.", 2),
        (b'["abc', "Missing a closing quotation mark in string.", 5),
        (b"[1e999]", "Number too big to be stored in double.", 1),
        (b"[0e309]", "Number too big to be stored in double.", 1),
        (b"[1e10000000000]", "Number too big to be stored in double.", 1),
        (b"[1e" + b"9" * 5000 + b"]", "Number too big to be stored in double.", 1),
        (b"[Nax]", "Invalid value.", 3),
        (b"[-Inx]", "Invalid value.", 4),
        (b"[Infinix]", "Invalid value.", 7),
        (b'{"a":}', "Invalid value.", 5),
        (b"[}", "Invalid value.", 1),
        (b"[,", "Invalid value.", 1),
        (b"\xef\xbb\xbf", "The document is empty.", 3),
        (b'["a\0b"]', "Missing a closing quotation mark in string.", 3),
        (b"[-0.5e310]", "Number too big to be stored in double.", 1),
        (b"[2" + b"0" * 308 + b"]", "Number too big to be stored in double.", 1),
        (b'{"a":1,"b"}', "Missing a colon after a name of object member.", 10),
        (b'["\\ud800"]', "The surrogate pair in string is invalid.", 2),
        (b'["a\tb"]', "Invalid escape character in string.", 3),
        (b"[1,2", "Missing a comma or ']' after an array element.", 4),
        (b"nan", "Invalid value.", 1),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1e+]", "Miss exponent in number.", 4),
        (b"['a']", "Invalid value.", 1),
        (b"// no\n1", "Invalid value.", 0),
    ],
)
def test_an_error_says_what_is_wrong_and_where(body, problem, offset):
    with pytest.raises(ServingError) as caught:
        parse_json(body)
    assert caught.value.message == f"JSON Parse error: {problem} at offset: {offset}"


def test_an_empty_body_has_no_offset():
    with pytest.raises(ServingError, match=r"The document is empty$"):
        parse_json(b"")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf {"a": [1, 2.5, true, false, null, {}, []]} rest', None),
        (b'"\\u00e9\\ud83d\\ude00\\u0000\\/\\n"', "é😀\0/\n"),
        (b"18446744073709551615", 2**64 - 1),
        (b"-0", 0),
        (b"1e2", 100.0),
        (b"1e308", 1e308),
        (b"1e" + b"0" * 5000 + b"1", 10.0),
        (b"\xef\xbf{}", {}),  # a part of a byte order mark is skipped, too
        (b"0.01e310", 1e308),
        (b"15e308", math.inf),
        (b"1e-400", 0.0),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_both_parsers_accept(body, value):
    expected = value if value is not None else {"a": [1, 2.5, True, False, None, {}, []]}
    assert parse_json(body) == parse_strict(body) == expected
    assert type(parse_json(body)) is type(expected)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "Inf", "-Inf", "-NaN"])
def test_numbers_that_json_has_not(token):
    number, strict = parse_json(f"[{token}]".encode())[0], parse_strict(f"[{token}]".encode())[0]
    for value in (number, strict):
        assert math.isnan(value) if "NaN" in token else value == float(token)


def test_invalid_utf8_survives():
    text = parse_json(b'{"t": "a\xff\xc3"}')["t"]
    assert encode_text(text) == b"a\xff\xc3"
    assert encode_text(parse_strict(b'"\\udc80"')) == b"\xed\xb2\x80"  # a lone low surrogate is let through


def test_depth_is_no_limit():
    depth = 100_003
    value = parse_json(b"[" * depth + b"]" * depth)
    for _ in range(depth - 1):
        (value,) = value
    assert value == []
    with pytest.raises(ServingError, match=f"Missing a comma or ']' .* at offset: {depth + 1}"):
        parse_json(b"[" * depth + b"1")


def test_the_top_level_must_be_an_object():
    with pytest.raises(ServingError, match=r"JSON Value: \[1, 2\] Is not object"):
        parse_object(b"[1,2]")


TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # a lone surrogate is no text
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@QUICK
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_python_writes_is_read_alike(value, ascii_only, indent):
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse_json(body) == parse_strict(body) == value


@QUICK
@given(st.binary(max_size=23))
def test_no_input_crashes_it(body):
    verdict = ""
    try:
        parse_json(body)
    except ServingError as error:
        verdict = error.message
    assert not verdict or verdict.startswith("JSON Parse error: ")


@QUICK
@given(st.binary(max_size=23))
def test_what_the_quick_parser_takes_the_strict_one_takes_too(body):
    try:
        value = parse_json(body)
    except ServingError:
        return
    assert repr(parse_strict(body)) == repr(value)


@pytest.mark.parametrize("parse", [parse_json, parse_strict])
def test_equal_keys_are_all_kept_and_the_first_is_found(parse):
    value = parse(b'{"o": {"a": 1, "b": 2, "a": {}}, "p": {"a": 1}, "o": 5}')
    inner = value["o"]
    assert (inner["a"], inner.get("b"), inner.keys()) == (1, 2, {"a", "b"})
    assert (list(inner.items()), len(inner)) == ([("a", 1), ("b", 2), ("a", {})], 3)
    assert [name for name, _ in value.items()] == ["o", "p", "o"]
    assert type(value["p"]) is dict
    assert repr(inner) == "Members([('a', 1), ('b', 2), ('a', {})])"


def test_equal_keys_are_shown():
    with pytest.raises(ServingError) as caught:
        signature_name(parse_object(b'{"signature_name": 5, "signature_name": "s"}'))
    assert caught.value.message == (
        'JSON Value: {\n    "signature_name": 5,\n    "signature_name": "s"\n} not formatted correctly.'
        " 'signature_name' key must be a string value."
    )
