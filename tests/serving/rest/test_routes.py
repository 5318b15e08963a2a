from __future__ import annotations

import pytest

from keras_attn.serving.errors import ServingError
from keras_attn.serving.models.registry import ModelSpec
from keras_attn.serving.rest.calls import CALLS
from keras_attn.serving.rest.routes import VersionTooLarge, find_route, is_api_path

LARGEST = 2**63 - 1


PATHS = [
    ("POST", "/v1/models/m:predict", (":predict", ModelSpec("m"))),
    ("POST", "/v1/models/m:classify", (":classify", ModelSpec("m"))),
    ("POST", "/V1/MODELS/M/VERSIONS/007:regress", (":regress", ModelSpec("M", 7))),
    (
        "POST",
        "/v1/models/a%20b%2Fc/labels/d%3Ae:predict",
        (":predict", ModelSpec("a b/c", None, "d:e")),
    ),
    ("POST", f"/v1/models/m/versions/{LARGEST}:predict", (":predict", ModelSpec("m", LARGEST))),
    ("GET", "/v1/models/m", ("", ModelSpec("m"))),
    ("GET", "/v1/models/m/versions/3", ("", ModelSpec("m", 3))),
    ("GET", "/v1/models/m/labels/l", ("", ModelSpec("m", None, "l"))),
    ("GET", "/v1/models/m/metadata", ("/metadata", ModelSpec("m"))),
    ("GET", "/v1/models/m/versions/3/METADATA", ("/metadata", ModelSpec("m", 3))),
    ("GET", "/v1/models/m?a=b", ("", ModelSpec("m?a=b"))),
]


def test_every_call_has_a_path():
    assert {(method, suffix) for method, _, (suffix, _) in PATHS} == {
        (call.method, call.suffix) for call in CALLS if not call.prefix
    }


@pytest.mark.parametrize(("method", "path", "route"), PATHS)
def test_calls(method, path, route):
    found = find_route(method, path)
    assert (found.call.method, found.call.suffix, found.spec) == (method, *route)


def test_streams_have_a_path_of_their_own():
    found = find_route("POST", "/STREAM/v1/models/m/labels/l")
    assert (found.call.api, found.spec) == ("stream", ModelSpec("m", None, "l"))
    with pytest.raises(ServingError, match="Malformed request"):
        find_route("GET", "/stream/v1/models/m")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:dream"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m:predict?a=b"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/m/versions/:predict"),
        ("POST", "/v1/models/m/versions/one:predict"),
        ("POST", "/v1/models/m/versions/1/labels/l:predict"),
        ("GET", "/v1/models/m:predict"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/m/versions"),
        ("PUT", "/v1/models/m"),
    ],
)
def test_malformed_requests(method, path):
    with pytest.raises(ServingError) as caught:
        find_route(method, path)
    assert caught.value.message == f"Malformed request: {method} {path}"


def test_no_model():
    with pytest.raises(ServingError, match=r"Missing model name in request\."):
        find_route("GET", "/v1/models")


@pytest.mark.parametrize("version", [LARGEST + 1, 2**64 - 1, 10**40])
def test_a_version_beyond_64_bits(version):
    with pytest.raises(VersionTooLarge):
        find_route("GET", f"/v1/models/m/versions/{version}")


@pytest.mark.parametrize(
    ("path", "expected"), [("/v1/", True), ("/V1/x", True), ("/v1", False), ("/", False)]
)
def test_paths_of_the_api(path, expected):
    assert is_api_path(path) is expected
