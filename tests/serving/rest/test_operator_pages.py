"""Where metrics are shown, and whether the server is ready."""

from __future__ import annotations

import json

import pytest

from keras_attn.serving import Options, Server
from keras_attn.serving.errors import ServingError
from keras_attn.serving.rest.operator_pages import SidePages, metrics_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("prometheus_config { enable: false }", ""),
        ('prometheus_config { path: "/m" }', ""),
        ('prometheus_config { enable: true path: "/m" }', "/m"),
    ],
)
def test_where_metrics_are(tmp_path, text, path):
    (tmp_path / "m").write_text(text)
    assert metrics_path(str(tmp_path / "m")) == path


def test_a_metrics_path_that_is_none(tmp_path):
    (tmp_path / "m").write_text('prometheus_config { enable: true path: "m" }')
    with pytest.raises(ServingError, match=r"path of prometheus_config must begin with /\. Received: 'm'"):
        metrics_path(str(tmp_path / "m"))


def test_a_server_that_is_not_ready_names_the_models():
    pages = SidePages(None, "", lambda: ["half"])
    reply = pages.find("/readyz?verbose")
    assert (reply.status, json.loads(reply.body)) == (503, {"ready": False, "waiting_for": ["half"]})
    assert pages.find("/v1/models/half") is None


def test_readiness_follows_the_models(registry, tmp_path):
    server = Server(Options(port=0), rest=False, registry=registry)
    assert server._not_ready() == []
    server._is_stopping = True
    assert server._not_ready() == ["the server is being stopped"]
    own = Server(Options(port=0, model_base_path=str(tmp_path)), rest=False)
    assert own._not_ready() == []  # nothing is asked for before the start
