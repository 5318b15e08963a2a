"""The clients against servers that misbehave, and against each other."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from keras_attn.serving import AsyncClient, Client, ServerError, connect
from keras_attn.serving.client.json_values import from_json, to_json

from ...scripted_server import scripted_server

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"outputs": [7]}'
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"
TOO_MANY = b'HTTP/1.1 429 No\r\nContent-Length: 14\r\nRetry-After: 0\r\n\r\n{"error": "no"}'[:-1]


@pytest.mark.parametrize("first", [BUSY, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"])
def test_what_may_succeed_is_tried_again(first):
    with scripted_server(first, OK) as (url, seen), connect(url, "m") as client:
        assert client.predict([1]) == [7]
    assert len(seen) == 2
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("answer", "retries", "error"), [(TOO_MANY, 2, "429: "), (BUSY, 0, "503: Service Unavailable")]
)
def test_retries_end(answer, retries, error):
    with (
        scripted_server(answer) as (url, seen),
        connect(url, "m", retries=retries) as client,
        pytest.raises(ServerError, match=error),
    ):
        client.predict([1])
    assert len(seen) == 1 + retries


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        connect(f"http://127.0.0.1:{port}", "m", retries=1) as client,
        pytest.raises(ConnectionRefusedError),
    ):
        client.predict([1])


def test_a_time_out_is_not_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connect(url, "m", timeout_s=0.1) as client, pytest.raises(TimeoutError):
            client.predict([1])
        silent.settimeout(5.0)
        silent.accept()[0].close()
        silent.settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent.accept()


@pytest.mark.parametrize("number", [{"timeout_s": 0}, {"retries": -1}])
def test_numbers_out_of_range_are_refused(number):
    (name, value), *_ = number.items()
    with pytest.raises(ValueError, match=f"`timeout_s` above 0 and `retries` of 0 or more.*{name}={value}"):
        connect("http://localhost:8501", **number)


@pytest.fixture(params=["REST", "gRPC"])
def client_of(request, server):
    clients = []
    url = f"http://localhost:{server.rest_port}"
    if request.param == "gRPC":
        url = f"grpc://localhost:{server.grpc_port}"

    def make(model):
        clients.append(connect(url, model))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_one_client_for_both_roads(client_of):
    half = client_of("half")
    assert half.predict({"x": [1.0]}) == [3.5]
    assert half.predict({"x": [1.0]}, version=7) == [3.5]
    assert half.status() == {7: "AVAILABLE"}
    assert half.metadata()["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert half.wait_until_available() == 7
    with pytest.raises(ServerError, match="Unrecognized servable version label: stable"):
        half.predict({"x": [1.0]}, label="stable")


def test_the_value_of_the_only_input_needs_no_name(client_of):
    assert client_of("half").predict([1.0]) == [3.5]
    several = r"the signature has 2: \['a', 'b'\]|multiple input tensors required"
    with pytest.raises((TypeError, ServerError), match=several):
        client_of("two").predict([1.0])
    with pytest.raises(ServerError, match='"s" not found'):
        client_of("half").predict([1.0], signature_name="s")


@pytest.mark.parametrize("text", ["hello", b"hello"])
def test_a_text_alone_is_refused_before_anything_is_sent(text):
    for url in ("http://127.0.0.1:1", "grpc://127.0.0.1:1"):  # nobody there
        with (
            connect(url, "m", retries=0) as client,
            pytest.raises(TypeError, match=r"predict\(\) takes a list, .* Write \[b?'hello'\], or {name"),
        ):
            client.predict(text)
    with connect("http://127.0.0.1:1") as client, pytest.raises(TypeError, match=r"stream\(\) takes a list"):
        client.stream(text)


def test_a_single_value_can_be_sent_by_name(client_of):
    client = client_of("default_input")
    assert client.predict({"x": [1.0], "factor": 5}) == [5.0]
    assert client_of("shout").predict({"text": "a"})["loud"] == "a!"


def test_answers_are_of_one_kind(client_of):
    assert client_of("two").predict({"a": [[1, 2, 3]], "b": [1]}) == {
        "scaled": [[1.0, 2.0, 3.0]],
        "total": [7.0],
    }
    assert client_of("shout").predict({"text": ["é", b"\xff"]})["loud"] == ["é!", "\udcff!"]


def test_values_that_the_model_does_not_take_are_refused(client_of):
    for model, inputs in (
        ("shout", {"text": [None]}),
        ("shout", {"text": [1]}),
        ("below10", {"x": [3.7]}),
    ):
        with pytest.raises((TypeError, ServerError), match=r"Received: |is not of expected type"):
            client_of(model).predict(inputs)


def test_examples_on_both_roads(client_of):
    client = client_of("examples")
    assert client.regress([{"x": 2.0}, {"x": [-4.0]}]) == [3.0, 0.0]
    assert client.regress([{}], context={"x": 4.0}) == [4.0]
    (classes,) = client.classify([{"x": 2.0}], signature_name="classify")
    assert classes == [("cold", -2.0), ("안녕", 0.0), ("hot", 1.0)]
    with pytest.raises(ServerError, match="No signature was found with the name: s"):
        client.classify([{"x": 2.0}], signature_name="s")


def test_rows_are_a_form_of_rest(server):
    with (
        connect(f"grpc://localhost:{server.grpc_port}", "half") as client,
        pytest.raises(TypeError, match=r"`instances` is a form of REST\. Pass `inputs` over gRPC"),
    ):
        client.predict(instances=[1.0])


def test_asyncio(server):
    async def ask():
        async with AsyncClient(f"http://localhost:{server.rest_port}", "half", max_calls=3) as client:
            answers = await asyncio.gather(*(client.predict([value]) for value in range(11)))
            return (
                answers,
                await client.status(),
                await client.metadata(),
                await client.wait_until_available(),
            )

    answers, status, metadata, version = asyncio.run(ask())
    assert answers == [[value / 2 + 3] for value in range(11)]
    assert (status, list(metadata)[-1:], version) == ({7: "AVAILABLE"}, list(metadata)[-1:], 7)


def test_examples_in_asyncio(server):
    async def ask():
        async with AsyncClient(f"http://localhost:{server.rest_port}", "examples") as client:
            regressed = await client.regress([{"x": 2.0}])
            return regressed, await client.classify([{"x": 2.0}], signature_name="scores_alone")

    assert asyncio.run(ask()) == ([3.0], [[("", 2.0)]])


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("localhost:8501", "RestClient"),
        ("http://[::1]:8501/v1/models/m", "RestClient"),
        ("https://host", "RestClient"),
        ("grpc://localhost:8500", "GrpcClient"),
        ("unix:/tmp/socket", "GrpcClient"),
    ],
)
def test_a_url_names_its_transport(url, kind):
    with connect(url, "m") as client:
        assert (type(client).__name__, client.model_name) == (kind, "m")
        assert isinstance(client, Client)


@pytest.mark.parametrize("url", ["ftp://host", "grpc://", "http://", "", "http:///v1"])
def test_what_is_not_an_address(url):
    with pytest.raises(ValueError, match=r"`url` is not a server.s address\. Expected http://host:port"):
        connect(url)


def test_a_model_named_like_a_folder_is_asked_for_by_its_name():
    with scripted_server(OK) as (url, seen), connect(f"{url}/prefix", "..") as client:
        client.predict([1])
        client.close()  # only what is idle: the next call connects again
        client.predict([1], label="a/b")
    assert [request.split()[1] for request in seen] == [
        b"/prefix/v1/models/..:predict",
        b"/prefix/v1/models/../labels/a%2Fb:predict",
    ]


def read_request(connection):
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(65536)


def test_a_kept_connection_that_was_closed_costs_no_retry():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve():
            with listener.accept()[0] as first:
                read_request(first)
                first.sendall(OK)
                read_request(first)  # the second one on this connection, which is not answered
            with listener.accept()[0] as second:
                read_request(second)
                second.sendall(OK)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        with connect(url, "m", retries=0) as client:
            assert client.predict([1]) == client.predict([1]) == [7]
        serving.join(20.0)


def test_a_long_retry_after_is_cut(monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    answers = [BUSY.replace(b"Retry-After: 0", b"Retry-After: " + value) for value in (b"900", b"soon", b"1")]
    with scripted_server(*answers, OK) as (url, _), connect(url, "m", retries=3) as client:
        assert client.predict([1]) == [7]
    assert [pause for pause in pauses if pause >= 1.0] == [5.0, 1.0]


def test_values():
    assert from_json(to_json({"a": (b"\xff", [1])})) == {"a": [b"\xff", [1]]}
