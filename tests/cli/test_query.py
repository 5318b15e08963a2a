"""`keras-attn query --stream`: text as it comes, or an event a line."""

import json

import pytest

from ..scripted_server import scripted_server

EVENTS = ({"row": 0, "text": "Guten "}, {"row": 0, "text": "Tag."}, {"outputs": {"text": ["Guten Tag."]}})


@pytest.fixture
def streaming_server():
    """A server that answers every request with `EVENTS`: its URL, and what it was asked."""
    lines = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS)
    with scripted_server(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + lines) as asked_of:
        yield asked_of


def test_texts_are_printed_as_they_come(keras_attn, streaming_server):
    url, asked = streaming_server
    ran = keras_attn("query", "--url", url, "--model", "m", "--stream", "Good day.", "x")
    assert (ran.code, ran.out) == (0, "Guten Tag.\nGuten Tag.\n")
    for request, text in zip(asked, ("Good day.", "x"), strict=True):
        head, body = request.split(b"\r\n\r\n")
        assert head.startswith(b"POST /stream/v1/models/m HTTP/1.1")
        assert json.loads(body) == {"inputs": {"text": [text]}}


def test_events_are_printed_as_json(keras_attn, streaming_server):
    url, asked = streaming_server
    ran = keras_attn("query", "--url", url, "--stream", "--json", "--signature", "sample", "x")
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        {"text": "Guten "},
        {"text": "Tag."},
        {"outputs": {"text": ["Guten Tag."]}},
    ]
    assert b'"signature_name": "sample"' in asked[0]


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_what_answers_is_no_rest_server(keras_attn, options):
    """Such as the gRPC port."""
    with scripted_server(b"\0\0\0\4\r\n\r\n") as (url, _):
        ran = keras_attn("query", "--url", url, *options, "x")
    assert ran.code == 1
    assert f"No server answers at {url}: what answers does not speak HTTP (BadStatusLine" in ran.err


def test_hypotheses_are_printed_a_line_each(keras_attn, monkeypatch):
    outputs = {"text": [["a", "b"], ["c"]], "score": [[-1.0, -2.0], [-3.0]]}
    monkeypatch.setattr("keras_attn.serving.RestClient.predict", lambda *_, **__: outputs)
    assert keras_attn("query", "--signature", "n_best", "x", "y").out == "a\nb\nc\n"


TRACE = "\n\t [[{{function_node __inference_traced_1}}{{node Assert}}]]\n\t [[call]]"


@pytest.mark.parametrize("begin", ["", "2 root error(s) found.\n  (0) "])
def test_of_a_servers_error_the_first_line_is_shown(keras_attn, begin):
    message = f"{begin}INVALID_ARGUMENT: `text` is too long.{TRACE}"
    body = json.dumps({"error": message}).encode()
    head = (
        f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with scripted_server(head.encode() + body) as (url, _):
        for options in ((), ("--stream",)):
            ran = keras_attn("query", "--url", url, *options, "x")
            assert (ran.code, ran.err) == (1, "Error: 400: INVALID_ARGUMENT: `text` is too long.\n")


def test_streams_go_over_rest(keras_attn):
    ran = keras_attn("query", "--url", "grpc://localhost:9", "--stream", "x")
    assert ran.code == 2
    assert "--stream: Streams are a form of REST" in ran.err
