from __future__ import annotations

import pytest

from keras_attn.serving.errors import ServingError
from keras_attn.serving.models.registry import ModelSpec
from keras_attn.serving.rest.routes import Route, VersionTooLarge, find_route, is_api_path

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/models/m:predict", Route("predict", ModelSpec("m"))),
        ("POST", "/v1/models/m:classify", Route("classify", ModelSpec("m"))),
        ("POST", "/V1/MODELS/M/VERSIONS/007:regress", Route("regress", ModelSpec("M", 7))),
        (
            "POST",
            "/v1/models/a%20b%2Fc/labels/d%3Ae:predict",
            Route("predict", ModelSpec("a b/c", None, "d:e")),
        ),
        ("POST", f"/v1/models/m/versions/{LARGEST}:predict", Route("predict", ModelSpec("m", LARGEST))),
        ("GET", "/v1/models/m", Route("status", ModelSpec("m"))),
        ("GET", "/v1/models/m/versions/3", Route("status", ModelSpec("m", 3))),
        ("GET", "/v1/models/m/labels/l", Route("status", ModelSpec("m", None, "l"))),
        ("GET", "/v1/models/m/metadata", Route("metadata", ModelSpec("m"))),
        ("GET", "/v1/models/m/versions/3/METADATA", Route("metadata", ModelSpec("m", 3))),
        ("GET", "/v1/models/m?a=b", Route("status", ModelSpec("m?a=b"))),
    ],
)
def test_calls(method, path, route):
    assert find_route(method, path) == route


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
