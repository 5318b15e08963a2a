from __future__ import annotations

import os

import pytest

from keras_attn.serving.flags import FlagError, check_options, parse_flags, usage
from keras_attn.serving.options import Options


def test_defaults_are_those_of_tensorflow_serving():
    options, unknown = parse_flags([])
    assert unknown == []
    assert (options.port, options.rest_api_port, options.rest_api_timeout_in_ms) == (8500, 0, 30000)
    assert (options.model_name, options.file_system_poll_wait_seconds) == ("default", 1)
    assert options.grpc_max_threads == options.rest_api_num_threads == 4 * os.cpu_count()


def test_both_syntaxes():
    options, _ = parse_flags(["--port=9", "--model_name", "m", "-rest_api_port=7", "--model_base_path=/a=b"])
    expected = Options(port=9, model_name="m", rest_api_port=7, model_base_path="/a=b")
    assert options == expected


def test_unknown_flags_are_reported():
    options, unknown = parse_flags(["--enable_batching", "--foo=1", "--bar", "x", "--port=3", "stray"])
    assert unknown == ["--enable_batching", "--foo=1", "--bar x", "stray"]
    assert options.port == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--port=x"], "flag --port expects a whole number. Received: 'x'"),
        (["--port"], "flag --port has no value. Expected --port=<int>"),
    ],
)
def test_bad_values(argv, message):
    with pytest.raises(FlagError) as caught:
        parse_flags(argv)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "flag --model_base_path is missing"),
        ({"model_base_path": "a"}, "to have an absolute path or URI; got base_path()=a"),
        ({"model_base_path": "/a", "port": 65536}, "flag --port expects a port from 0 to 65535"),
        ({"model_base_path": "/a", "grpc_max_threads": 0}, "flag --grpc_max_threads expects 1 or more"),
    ],
)
def test_options_that_cannot_work(values, message):
    with pytest.raises(FlagError) as caught:
        check_options(Options(**values))
    assert message in str(caught.value)


def test_usage_lists_every_flag():
    assert all(f"--{name}=" in usage() for name in Options.__dataclass_fields__)
