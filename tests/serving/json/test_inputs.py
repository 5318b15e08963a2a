"""Row form and column form of predict requests, as far as no recording holds them: values, errors, order."""

from __future__ import annotations

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.signatures import Signature, TensorInfo
from keras_attn.serving.json.inputs import read_inputs, signature_name
from keras_attn.serving.json.parser import parse_object


def read(body, defaults=(), **inputs):
    """Reads a body for a signature with inputs `name="FLOAT"` and so on, some of them with a default."""
    infos = {name: TensorInfo(f"{name}:0", types_pb2.DataType.Value(f"DT_{t}")) for name, t in inputs.items()}
    document = parse_object(body)
    name = signature_name(document)
    return read_inputs(document, Signature("s", infos, {}, dict.fromkeys(defaults)), name)


FLOAT, TEXT, TWO = {"x": "FLOAT"}, {"t": "STRING"}, {"a": "INT32", "b": "STRING"}


@pytest.mark.parametrize(
    ("body", "inputs", "expected"),
    [
        (b'{"instances":[[1,2],[3,4],[5,6]]}X', {"i": "INT32"}, np.int32([[1, 2], [3, 4], [5, 6]])),
        (b'{"instances":[1,2.0,5.003,0]}', FLOAT, np.float32([1, 2, 5.003, 0])),
        (b'{"instances":[16777217,9007199254740993]}', FLOAT, np.float32([2**24, 2**53])),
        (b'{"instances":[9007199254740993]}', {"d": "DOUBLE"}, np.array([2.0**53])),
        (
            b'{"instances":[NaN,Infinity,-Infinity,Inf,-Inf]}',
            FLOAT,
            np.float32([np.nan, *[np.inf, -np.inf] * 2]),
        ),
        (b'{"instances":[{"x":[1,2]},{"x":[3,4]}]}', FLOAT, np.float32([[1, 2], [3, 4]])),
        (b'{"instances":[[{"b64":"aGk="}],["b"]]}', TEXT, np.array([[b"hi"], [b"b"]], object)),
        (b'{"instances":[{"t":[[{"b64":"aGk="}]]}]}', TEXT, np.array([[[b"hi"]]], object)),
        (b'{"inputs":{"b64":"aGk="}}', TEXT, np.array(b"hi", object)),
        (b'{"inputs":{"t":{"b64":"aGk="}}}', TEXT, np.array(b"hi", object)),
        (b'{"instances":["a\\u0000b"]}', TEXT, np.array([b"a\0b"], object)),
        (b'{"instances":[true,false]}', {"b": "BOOL"}, np.array([True, False])),
        (b'{"instances":[4294967295]}', {"u": "UINT32"}, np.uint32([2**32 - 1])),
        (b'{"instances":[18446744073709551615]}', {"u": "UINT64"}, np.uint64([2**64 - 1])),
        (b'{"inputs":[]}', FLOAT, np.empty(0, np.float32)),
        (b'{"instances":[[],[]]}', {"h": "HALF"}, np.empty((2, 0), np.float16)),
    ],
)
def test_values(body, inputs, expected):
    arrays, by_row = read(body, **inputs)
    (array,) = arrays.values()
    assert (array.dtype, by_row) == (expected.dtype, b"instances" in body)
    np.testing.assert_array_equal(array, expected)


def test_several_inputs_in_both_forms():
    rows, _ = read(b'{"instances":[{"a":[1,2],"b":"x"},{"b":"y","a":[3,4]}]}', **TWO)
    columns, _ = read(b'{"inputs":{"a":[[1,2],[3,4]],"b":["x","y"],"more":null}}', **TWO)
    for arrays in (rows, columns):
        np.testing.assert_array_equal(arrays["a"], np.int32([[1, 2], [3, 4]]))
        assert arrays["b"].tolist() == [b"x", b"y"]


@pytest.mark.parametrize(
    ("body", "inputs", "expected"),
    [
        # Every value of a row is put into the tensor, which has as many rows as there are instances.
        (b'{"instances":[{"x":1,"x":2}]}', FLOAT, np.float32([1])),
        (b'{"instances":[{"x":1,"x":2},{"x":3}]}', FLOAT, np.float32([1, 2])),
        (b'{"instances":[{"x":1},{"x":2,"x":3},{"x":4}]}', FLOAT, np.float32([1, 2, 3])),
        (b'{"instances":[{"x":[1,2],"x":[3,4]},{"x":[5,6]}]}', FLOAT, np.float32([[1, 2], [3, 4]])),
        # Columns are looked up, and so is what stands around rows.
        (b'{"inputs":{"x":[1],"x":[2,3]}}', FLOAT, np.float32([1])),
        (b'{"instances":[1],"instances":[2,3]}', FLOAT, np.float32([1])),
    ],
)
def test_equal_keys(body, inputs, expected):
    arrays, _ = read(body, **inputs)
    np.testing.assert_array_equal(arrays["x"], expected)


def test_equal_keys_of_one_input_leave_the_other_in_its_place():
    arrays, _ = read(b'{"instances":[{"a":1,"b":"x","a":2},{"a":3,"b":"y"}]}', **TWO)
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [1, 2], "b": [b"x", b"y"]}


ROW = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: {}"


@pytest.mark.parametrize(
    ("body", "inputs", "message"),
    [
        (b'{"instances":[1],"inputs":[1]}', FLOAT,
         'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting only'
         " one of 'inputs' or 'instances' keys to exist "),
        (b'{"instances":1}', FLOAT,
         "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"),
        (b'{"instances":[]}', FLOAT,
         "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (b'{"signature_name":5,"instances":[1]}', FLOAT,
         'JSON Value: {\n    "signature_name": 5,\n    "instances": [1]\n} not formatted correctly.'
         " 'signature_name' key must be a string value."),
        (b'{"signature_name":"s"}', {}, "Failed to get input map for signature: s"),
        (b'{"signature_name":""}', {}, "Failed to get input map for signature: DEFAULT"),
        (b'{"inputs":[1]}', TWO,
         "inputs is a plain value/list, but expecting an object as multiple input tensors required as per"
         " tensorinfo_map"),
        (b'{"inputs":{"b64":"aGk="}}', TWO,
         "inputs is a plain value/list, but expecting an object as multiple input tensors required as per"
         " tensorinfo_map"),
        (b'{"inputs":{"b64":5}}', TEXT, "Missing named input: t in 'inputs' object."),
        (b'{"instances":[{}]}', FLOAT,
         "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: x"),
        (b'{"instances":[{"b":"x","a":1},{"b":"y"}]}', TWO,
         'Failed to process element: 1 of \'instances\' list. JSON object: {\n    "b": "y"\n} keys must be'
         " equal to: a,b"),
        (b'{"instances":[{"a":1,"b":"x","c":2}]}', TWO,
         ROW.format("0 key: c", "JSON object: does not have named input: c")),
        (b'{"instances":[{"x":1,"x":[2,3]}]}', FLOAT,
         ROW.format("0 key: x", "Expecting tensor size: 1 but got: 2")),
        (b'{"instances":[{"x":1,"x":"a"}]}', FLOAT,
         ROW.format("0 key: x", 'JSON Value: "a" Type: String is not of expected type: float')),
        (b'{"instances":[{"a":1,"b":"x"},{"a":2,"b":5},{"a":"y","b":"z"}]}', TWO,
         ROW.format("1 key: b", "JSON Value: 5 Type: Number is not of expected type: string")),
        (b'{"instances":[{"b":5,"a":"y"},{"a":1}]}', TWO,
         ROW.format("0 key: b", "JSON Value: 5 Type: Number is not of expected type: string")),
        (b'{"instances":[{"a":1,"a":2}]}', TWO,
         "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1,\n    \"a\": 2\n}"
         " keys must be equal to: a,b"),
        (b'{"inputs":{"t":{"b64":"aGk=","b64":"aGk="}}}', TEXT,
         'JSON Value: {\n    "b64": "aGk=",\n    "b64": "aGk="\n} not formatted correctly for base64 data'),
        (b'{"inputs":{"x":{"b64":"aGk=","b64":"aGk="}}}', FLOAT,
         'JSON Value: {\n    "b64": "aGk=",\n    "b64": "aGk="\n} Type: Object is not of expected type:'
         " float"),
        (b'{"instances":[{"a":1.0,"b":5}]}', TWO,
         ROW.format("0 key: a", "JSON Value: 1.0 Type: Number is not of expected type: int32")),
        (b'{"instances":[[1,2],[3,[4]]]}', FLOAT,
         ROW.format("1", "Encountered list at unexpected level: 1 expected < 1")),
        (b'{"instances":[[[1],[2,3]]]}', FLOAT,
         ROW.format("0", "Encountered list at unexpected size: 2 at level: 1 expected size: 1")),
        (b'{"instances":[[1,2],["a"]]}', FLOAT,
         ROW.format("1", 'JSON Value: "a" Type: String is not of expected type: float')),
        (b'{"instances":[{"b64":"a-_="}]}', TEXT, ROW.format("0", "Unable to base64 decode")),
        (b'{"instances":[[{"b64":5}]]}', TEXT,
         ROW.format("0", 'JSON Value: {\n    "b64": 5\n} not formatted correctly for base64 data')),
        (b'{"instances":[{"b64":"aGk="}]}', FLOAT,
         ROW.format("0", 'JSON Value: {\n    "b64": "aGk="\n} Type: Object is not of expected type: float')),
        (b'{"instances":[-1]}', {"u": "UINT64"},
         ROW.format("0", "JSON Value: -1 Type: Number is not of expected type: uint64")),
        (b'{"instances":[99999999999999999999]}', {"i": "INT64"},
         ROW.format("0", "JSON Value: 100000000000000000000.0 Type: Number is not of expected type: int64")),
    ],
)  # fmt: skip
def test_errors(body, inputs, message):
    with pytest.raises(ServingError) as caught:
        read(body, **inputs)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


OPTIONAL = {"text": "STRING", "max_length": "INT32", "seed": "INT32", "defaults": ("max_length", "seed")}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"inputs":{"text":["a"],"max_lenght":[3]}}',
         "Unknown named input: max_lenght in 'inputs' object. Did you mean max_length? Inputs that may be"
         " given: max_length,seed,text"),
        (b'{"inputs":{"text":["a"],"seed":[1],"zz":3,"x":null}}',
         "Unknown named input: x,zz in 'inputs' object. Inputs that may be given: max_length,seed,text"),
        (b'{"inputs":{"txet":["a"]}}', "Missing named input: text in 'inputs' object."),
        (b'{"instances":[{"text":"a","max_lenght":3}]}',
         ROW.format("0 key: max_lenght", "JSON object: does not have named input: max_lenght")),
    ],
)  # fmt: skip
def test_a_name_that_is_misspelt_is_refused_where_a_default_would_hide_it(body, message):
    with pytest.raises(ServingError) as caught:
        read(body, **OPTIONAL)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


def test_unknown_names_are_ignored_where_all_inputs_are_given():
    """As in the stock server, which wants them all."""
    arrays, _ = read(b'{"inputs":{"text":["a"],"max_length":[3],"seed":[1],"more":[1]}}', **OPTIONAL)
    assert sorted(arrays) == ["max_length", "seed", "text"]


@pytest.mark.parametrize("kind", ["HALF", "BFLOAT16", "UINT16", "COMPLEX64", "COMPLEX128"])
def test_types_that_json_has_not_in_columns_are_unimplemented(kind):
    with pytest.raises(ServingError) as caught:
        read(b'{"inputs":[1.5]}', x=kind)
    assert str(caught.value) == f"UNIMPLEMENTED: Conversion of JSON Value: 1.5 to type: {kind.lower()}"


def test_plain_values_feed_one_input_even_where_the_first_is_an_object():
    """An object that stands for bytes passes for an object at first; then it is a plain value."""
    arrays, _ = read(b'{"instances":[{"b64":"aGk="},"b"]}', a="STRING", b="STRING")
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [b"hi", b"b"]}
    with pytest.raises(ServingError, match="of expected type: int32"):
        read(b'{"instances":[{"b64":"aGk="}]}', **TWO)


def test_lists_of_any_depth_are_judged_without_recursion():
    depth = 50_003
    deep = b"[" * depth + b"1" + b"]" * depth
    with pytest.raises(ServingError, match="of at most 64 dimensions"):
        read(b'{"inputs":' + deep + b"}", **FLOAT)
    rows = b"[" * 65 + b"1" + b"]" * 65
    with pytest.raises(ServingError, match="of at most 64 dimensions but got: 65"):
        read(b'{"instances":' + rows + b"}", **FLOAT)
    with pytest.raises(ServingError, match="Encountered list at unexpected level: 1 expected < 1"):
        read(b'{"instances":[[1,' + deep + b"]]}", **FLOAT)
