from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_attn.serving.errors import ServingError
from keras_attn.serving.json.outputs import write_outputs, write_predictions
from keras_attn.serving.json.text import decimal_texts, string_text

QUICK = settings(max_examples=73, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_floats_are_spelt_with_six_digits_or_all():
    values = np.array([0.2, 3.0, 9e6, 3e-5, 1 / 3, np.nan, np.inf, -np.inf, -0.0], np.float32)
    spelt = ["0.2", "3.0", "9e+06", "3e-05", "0.333333343", "NaN", "Infinity", "-Infinity", "-0.0"]
    assert decimal_texts(values) == spelt
    assert decimal_texts(np.array([1 / 3, 1e20])) == ["0.33333333333333331", "1e+20"]


@QUICK
@given(st.floats(width=32))
def test_a_float_reads_back_equal(number):
    (text,) = decimal_texts(np.array([number], np.float32))
    np.testing.assert_equal(np.float32(text), np.float32(number))


@QUICK
@given(st.text())
def test_strings_are_json(text):
    assert json.loads(string_text(text), strict=False) == text


def test_control_characters():
    assert string_text('\x01\n"\\/é') == '"\\u0001\\n\\"\\\\/é"'


def test_layout_of_rows_with_several_outputs():
    body = write_predictions({"a": np.array([1, 2]), "b": np.array([[1.5], [2.5]], np.float32)})
    assert body.decode() == (
        '{\n    "predictions": [\n        {\n            "a": 1,\n            "b": [1.5]\n        },\n'
        '        {\n            "a": 2,\n            "b": [2.5]\n        }\n    ]\n}'
    )


def test_empty_batches_and_scalars():
    assert write_predictions({"a": np.empty((0, 3))}) == b'{\n    "predictions": []\n}'
    assert json.loads(write_outputs({"a": np.empty((2, 0))})) == {"outputs": [[], []]}
    assert json.loads(write_outputs({"a": np.array(5)})) == {"outputs": 5}
    assert json.loads(write_outputs({"a": np.empty(0, np.float16)})) == {"outputs": []}
    both = {"a": np.empty((0, 2)), "b": np.empty(0, object)}
    assert write_predictions(both) == b'{\n    "predictions": []\n}'
    with pytest.raises(ServingError, match="Tensor name: b has inconsistent batch size: 1 expecting: 0"):
        write_predictions({**both, "b": np.array([1])})


def test_bytes_leave_as_they_are_or_as_base64():
    names = np.array([b"\xff"], object)
    assert b'"\xff"' in write_outputs({"name": names})
    assert b'"b64": "/w=="' in write_outputs({"name_bytes": names})


def test_what_json_cannot_carry():
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: half"):
        write_outputs({"h": np.array([1.0], np.float16)})
    with pytest.raises(ServingError, match=r"Tensor name: a has no shape information $"):
        write_predictions({"a": np.array(1)})
    with pytest.raises(ServingError, match="Cannot convert empty tensor map to JSON"):
        write_predictions({})
