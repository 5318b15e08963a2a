"""HTTP as the stock server speaks it, over real sockets, and what it lacks: limits, readiness, a log."""

from __future__ import annotations

import gzip
import http.client
import json
import queue
import socket
import threading

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_attn.serving import GrpcClient, Options, Server, ServerError, connect
from keras_attn.serving.protos.tensors import to_proto

from ..server.test_draining import slow  # noqa: F401 - a fixture

PREDICT, BODY = "/v1/models/half:predict", b'{"instances": [1]}'


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    (folder / "monitoring.pbtxt").write_text("prometheus_config { enable: true }")
    return Options(
        port=0,
        rest_api_num_threads=3,
        rest_api_enable_cors_support=True,
        monitoring_config_file=str(folder / "monitoring.pbtxt"),
        access_log_file=str(folder / "access.jsonl"),
        max_request_bytes=2003,
    )


@pytest.fixture(scope="module")
def own_server(registry, options):
    server = Server(options, registry=registry)
    server.start()
    yield server
    server._rest.stop()
    server._grpc.stop(1.0)  # the models are other tests' as well
    server._access_log.close()


@pytest.fixture
def request_to(own_server):
    connection = http.client.HTTPConnection("127.0.0.1", own_server.rest_port, timeout=20.0)

    def ask(method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), {k.lower(): v for k, v in response.headers.items()}

    yield ask
    connection.close()


def raw(server, *chunks, hangs_up=False):
    """Sends bytes as they are and returns all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=20.0) as connection:
        for chunk in chunks:
            connection.sendall(chunk)
        if hangs_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def test_headers(request_to):
    status, _, headers = request_to("POST", PREDICT, BODY)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert "date" in headers
    assert headers["content-length"] == "33"
    assert "server" not in headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "POST, GET"
    assert headers["access-control-allow-headers"] == "Content-Type"


def test_no_cross_origin_headers_by_default(rest):
    assert rest.handle("POST", PREDICT, BODY).headers == ()


def test_preflight(request_to):
    status, body, headers = request_to("OPTIONS", PREDICT, headers={"Origin": "https://example.org"})
    assert (status, body, headers["content-type"]) == (200, b"", "text/html; charset=ISO-8859-1")
    assert headers["access-control-allow-origin"] == "*"
    assert request_to("OPTIONS", PREDICT, headers={"Origin": "example.org"})[0] == 400
    assert request_to("OPTIONS", PREDICT)[0] == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_methods_that_are_let_through_are_malformed(request_to, method):
    status, body, _ = request_to(method, PREDICT)
    assert status == 400
    assert body == b"" if method == "HEAD" else f"Malformed request: {method} {PREDICT}".encode() in body


NOT_FOUND = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/half", "/healthz/", "/favicon.ico"])
def test_other_paths(request_to, path):
    status, body, headers = request_to("GET", path)
    assert (status, body, headers["content-type"], headers["connection"]) == (
        404,
        NOT_FOUND,
        "text/html",
        "close",
    )


@pytest.mark.parametrize(
    ("line", "status", "title"),
    [
        (b"TRACE /v1/models/half HTTP/1.1\r\nHost: a\r\n\r\n", b"501", b"501 Not Implemented"),
        (b"DREAM /v1/models/half HTTP/1.1\r\nHost: a\r\n\r\n", b"501", b"501 Not Implemented"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"501", b"501 Not Implemented"),
        (b"GET\r\n\r\n", b"400", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"400", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400", b"400 Bad Request"),
    ],
)
def test_what_is_no_request(own_server, line, status, title):
    answer = raw(own_server, line)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"<TITLE>" + title in answer
    assert b"onnection: close\r\n" in answer


def test_pipelined_requests_are_answered_in_order(own_server):
    one = b"GET /v1/models/half HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /v1/models/nobody HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = raw(own_server, one + one + last)
    assert [answer.count(b"HTTP/1.1 200 OK"), answer.count(b"HTTP/1.1 404 Not Found")] == [2, 1]
    assert answer.index(b"404 Not Found") > answer.rindex(b"200 OK")


def test_http_1_0_closes(own_server):
    answer = raw(own_server, b"GET /v1/models/half HTTP/1.0\r\n\r\n")
    assert b"AVAILABLE" in answer
    assert b"onnection: close\r\n" in answer


def test_http_1_0_can_ask_to_be_kept(own_server):
    kept = b"GET /v1/models/half HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
    answer = raw(own_server, kept + b"GET /v1/models/half HTTP/1.0\r\n\r\n")
    assert answer.count(b"AVAILABLE") == 2
    assert answer.count(b"connection: keep-alive\r\n") == 1


def test_a_version_that_is_no_64_bit_number_gets_an_empty_answer(request_to):
    for version in (2**64 - 1, "9" * 5003):
        status, body, headers = request_to("POST", f"/v1/models/half/versions/{version}:predict", BODY)
        assert (status, body, headers["content-type"]) == (400, b"", "application/json")
    assert request_to("POST", f"/v1/models/half/versions/{'0' * 5003}7:predict", BODY)[0] == 200


def test_the_content_type_of_a_request_is_ignored(request_to):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        assert request_to("POST", PREDICT, BODY, {"Content-Type": kind})[0] == 200


def test_a_fragment_belongs_to_the_path(own_server):
    answer = raw(own_server, b"GET /v1/models/half?a=1#b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Could not find any versions of model half?a=1#b" in answer


def test_a_request_that_comes_byte_by_byte(own_server):
    head = b"POST %s HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (
        PREDICT.encode(),
        len(BODY),
    )
    answer = raw(own_server, *(bytes([byte]) for byte in head + BODY))
    assert b'"predictions": [3.5' in answer


def test_a_client_that_hangs_up_harms_no_other(own_server, request_to):
    head = b"POST %s HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{" % PREDICT.encode()
    assert raw(own_server, head, hangs_up=True) == b""
    assert request_to("POST", PREDICT, BODY)[0] == 200


def test_silent_clients_keep_no_other_waiting(own_server, request_to):
    silent = [socket.create_connection(("127.0.0.1", own_server.rest_port)) for _ in range(101)]
    try:
        assert request_to("POST", PREDICT, BODY)[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_gzip(request_to):
    packed = gzip.compress(BODY)
    status, body, _ = request_to("POST", PREDICT, packed, {"Content-Encoding": "x-gzip"})
    assert (status, b"3.5" in body) == (200, True)
    for broken in (packed[:-5], b"", BODY):
        status, body, headers = request_to("POST", PREDICT, broken, {"Content-Encoding": "gzip"})
        assert (status, b"JSON Parse error: The document is empty" in body) == (400, True)
        assert "content-encoding" not in headers


def test_a_bomb_counts_as_empty(own_server, monkeypatch, request_to):
    monkeypatch.setattr("keras_attn.serving.rest.app._MAX_INFLATED_BYTES", 1009)
    packed = gzip.compress(b'{"instances": [1]}' + b" " * 1009)
    status, body, _ = request_to("POST", PREDICT, packed, {"Content-Encoding": "gzip"})
    assert (status, b"The document is empty" in body) == (400, True)


def test_a_body_that_is_too_long(request_to):
    for body in (b" " * 2011, iter([b" " * 1009, b" " * 1009])):
        status, text, headers = request_to("POST", PREDICT, body)
        assert (status, headers["connection"]) == (413, "close")
        assert headers["access-control-allow-origin"] == "*"
        assert json.loads(text)["error"].startswith("The request is too large. Expected at most 2003 bytes.")
    assert request_to("POST", PREDICT, BODY + b" " * 1900)[0] == 200
    packed = gzip.compress(BODY + b" " * 2011)
    assert request_to("POST", PREDICT, packed, {"Content-Encoding": "gzip"})[0] == 413


def test_a_client_that_still_writes_gets_its_refusal(own_server):
    """Closing a connection with unread bytes would reset it."""
    with connect(f"http://127.0.0.1:{own_server.rest_port}", "half", retries=0) as client:
        with pytest.raises(ServerError, match=r"413: The request is too large\."):
            client.predict([[7.0] * 1_000_003])
        assert client.predict([1]) == [3.5]


def test_metrics(own_server, request_to):
    request_to("POST", "/v1/models/integers:predict", b'{"instances": [[1]]}')
    request_to("GET", "/v1/models/unknown")
    with GrpcClient(f"localhost:{own_server.grpc_port}", "below10") as client:
        client.predict({"x": np.array([1], np.int32)})
        with pytest.raises(ServerError, match="x is too big"):
            client.predict({"x": np.array([11], np.int32)})
    status, body, headers = request_to("GET", "/monitoring/prometheus/metrics")
    page = body.decode()
    assert (status, headers["content-type"]) == (200, "text/plain")
    name = ":tensorflow:serving:request"
    assert f'{name}_count{{model_name="integers",status="OK"}} 1\n' in page
    assert f'{name}_count{{model_name="unknown",status="NOT_FOUND"}} 1\n' in page
    assert f'{name}_count{{model_name="below10",status="OK"}} 1\n' in page
    assert f'{name}_count{{model_name="below10",status="INVALID_ARGUMENT"}} 1\n' in page
    labels = 'model_name="below10",API="Predict",entrypoint="GRPC"'
    assert f"{name}_latency_count{{{labels}}} 1\n" in page
    labels = 'model_name="integers",API="predict",entrypoint="REST"'
    assert f"{name}_latency_count{{{labels}}} 1\n" in page
    assert request_to("POST", "/monitoring/prometheus/metrics")[0] == 200
    status, body, _ = request_to("GET", "/monitoring/prometheus/metrics?a=1")
    expected = {"error": "Unexpected path: /monitoring/prometheus/metrics?a=1"}
    assert (status, json.loads(body)) == (400, expected)


def test_no_metrics_by_default(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
    connection.request("GET", "/monitoring/prometheus/metrics")
    assert connection.getresponse().status == 404
    connection.close()


def test_alive_and_ready(request_to):
    assert request_to("GET", "/healthz")[:2] == (200, b"ok\n")
    status, body, _ = request_to("GET", "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "waiting_for": []})


def test_a_client_that_stops_in_the_middle_is_given_up(own_server, monkeypatch):
    monkeypatch.setattr("keras_attn.serving.rest.app._SILENCE_S", 0.1)
    head = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{{".encode()
    assert raw(own_server, head).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_client_that_never_speaks_is_given_up(own_server, monkeypatch):
    monkeypatch.setattr(own_server._rest._server.config, "timeout_keep_alive", 0.1)
    assert raw(own_server) == b""


def test_the_access_log(own_server, options, request_to):
    request_to("POST", PREDICT + "?a=1", BODY)
    with (
        GrpcClient(f"localhost:{own_server.grpc_port}", "nobody") as client,
        pytest.raises(ServerError, match="NOT_FOUND"),
    ):
        client.predict({"x": np.zeros(1, np.float32)}, version=3)
    with open(options.access_log_file, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    over_rest = [line for line in lines if line["entrypoint"] == "REST"][-1]
    assert over_rest["call"].startswith("POST /v1/models/half:predict?")
    assert (over_rest["status"], over_rest["bytes_in"], over_rest["peer"]) == (400, len(BODY), "127.0.0.1")
    over_grpc = [line for line in lines if line["entrypoint"] == "GRPC"][-1]
    assert (over_grpc["call"], over_grpc["status"]) == ("Predict", "NOT_FOUND")
    assert (over_grpc["model"], over_grpc["version"], over_grpc["signature"]) == (
        "nobody",
        3,
        "serving_default",
    )
    assert over_grpc["peer"] in ("127.0.0.1", "::1")
    assert over_grpc["ms"] >= 0
    assert over_grpc["time"].endswith("Z")


def test_requests_that_wait_are_limited(slow):  # noqa: F811
    servable, registry = slow
    options = Options(port=0, rest_api_num_threads=1, grpc_max_threads=1, max_waiting_requests=1)
    server = Server(options, registry=registry, grace_s=20.0)
    server.start()
    answers = []

    def ask():
        with connect(f"http://127.0.0.1:{server.rest_port}", "slow", retries=0) as client:
            answers.append(client.predict([1.0]))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    assert servable.has_begun.wait(20.0)
    while server._rest._server.config.app._num_requests < 2:
        pass
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
    connection.request("POST", "/v1/models/slow:predict", BODY)
    response = connection.getresponse()
    assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert json.loads(response.read())["error"].startswith("Too many requests wait already.")
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"ok\n"
    connection.close()
    count = ':keras_attn:serving:refused_request_count{limit="waiting"} '
    assert f"{count}1\n" in server.metrics.page()
    request = predict_pb2.PredictRequest(inputs={"x": to_proto(np.float32([1]))})
    request.model_spec.name = "slow"
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        method = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = [method.future(request, timeout=20.0) for _ in range(3)]  # one runs, one waits
        ended = queue.SimpleQueue()  # calls of a channel need not arrive in the order in which they were made
        for call in calls:
            call.add_done_callback(ended.put)
        refused = ended.get(timeout=20.0)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"{count}2\n" in server.metrics.page()  # both protocols are counted alike
        servable.may_end.set()
        taken = [call for call in calls if call is not refused]
        assert [call.result().outputs["y"].float_val for call in taken] == [[7.0], [7.0]]
    for thread in asking:
        thread.join(20.0)
    server.stop()
    assert answers == [[7.0], [7.0]]
