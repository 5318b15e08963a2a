"""Streams: parts as they are written, whoever hangs up, stops, or comes at the same time."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading

import numpy as np
import pytest

from keras_attn.quiet import import_tensorflow
from keras_attn.serving import AsyncClient, Options, Server, ServerError, connect
from keras_attn.serving.inference.servable import SessionSettings
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.version_state import State
from keras_attn.serving.monitoring.metric_definitions import RUNNING, SESSION_RUNS
from keras_attn.serving.monitoring.metrics import Metrics

from ..waiting import wait_until

tf = import_tensorflow()
TYPES = (tf.int64, tf.string)
TEXT = tf.TensorSpec([None], tf.string, "text")
STREAM = tf.TensorSpec([None], tf.int64, "stream")
END = tf.TensorSpec([None], tf.string, "end")


def queue(name, types):
    return tf.raw_ops.FIFOQueueV2(component_types=types, shapes=[[]] * len(types), shared_name=name)


class Paced(tf.Module):
    """Writes its text back, a character for every permit that `go` gives, and then a full stop or `end`."""

    @tf.function(input_signature=[TEXT, STREAM, END])
    def stream(self, text, stream=tf.constant([-1], tf.int64), end=tf.constant(["."])):  # noqa: B008
        stream, end = (tf.broadcast_to(values, tf.shape(text)) for values in (stream, end))
        followed = stream >= 0

        def step(count):
            permits = queue("permits", [tf.int32])
            (permit,) = tf.raw_ops.QueueDequeueV2(handle=permits, component_types=[tf.int32])
            with tf.control_dependencies([permit]):
                count = tf.identity(count) + 1
            parts = [stream, tf.strings.substr(text, 0, count, unit="UTF8_CHAR")]
            parts = [tf.boolean_mask(part, followed) for part in parts]
            tf.raw_ops.QueueEnqueueManyV2(handle=queue("events", TYPES), components=parts)
            return (count,)

        length = tf.reduce_max(tf.strings.length(text, unit="UTF8_CHAR"))
        tf.while_loop(lambda count: count < length, step, (0,), parallel_iterations=1)
        return {"text": tf.strings.join([text, end])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.bool, "wait")])
    def stream_events(self, wait):
        handle = queue("events", TYPES)
        count = tf.maximum(tf.raw_ops.QueueSizeV2(handle=handle), tf.cast(wait[0], tf.int32))
        stream, text = tf.raw_ops.QueueDequeueManyV2(handle=handle, n=count, component_types=TYPES)
        return {"stream": tf.ensure_shape(stream, [None]), "text": tf.ensure_shape(text, [None])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "permits")])
    def go(self, permits):
        tf.raw_ops.QueueEnqueueManyV2(handle=queue("permits", [tf.int32]), components=[permits])
        return {"given": permits}


@pytest.fixture(scope="module")
def paced(tmp_path_factory):
    """The base path of `Paced`."""
    base_path, module = tmp_path_factory.mktemp("paced"), Paced()
    names = ("stream", "stream_events", "go")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(base_path / "1"), signatures=signatures)
    return base_path


@pytest.fixture
def serve(paced, models):
    """`serve(**options)`: a server with `paced`, and `half` which cannot stream, and a client of it."""
    servers, clients = [], []

    def start(grace_s=5.0, **options):
        registry = Registry([ServedModel(n, str(p), SavedModelLoader()) for n, p in folders.items()])
        for model in registry.models:
            assert model.poll() == []
        options = Options(port=0, **{"rest_api_num_threads": 9} | options)
        servers.append(Server(options, registry=registry, grace_s=grace_s))
        servers[-1].start()
        clients.append(connect(f"http://localhost:{servers[-1].rest_port}", "paced", retries=0))
        return servers[-1], clients[-1]

    folders = {"paced": paced, "half": models["half"]}
    yield start
    for client in clients:
        go(client, 99)
        client.close()
    for server in servers:
        server.stop()


def go(client, count):
    try:
        client.predict({"permits": [1] * count}, signature_name="go")
    except (OSError, ServerError):  # it has been stopped or unloaded: nobody waits
        return


def permit(servable, count):
    """`go` where no request is let in."""
    servable.run(servable.signatures["go"], {"permits": np.ones(count, np.int32)}, ["given"])


def reader_of(server):
    with server.registry.find("paced").use(None) as servable:
        return servable.streams


def num_running(server):
    return server.metrics.total(RUNNING.name)


def texts_of(events):
    """The joined parts of each row, and the outputs."""
    rows = {}
    for event in events:
        if event.row is None:
            return rows, event.outputs
        rows[event.row] = rows.get(event.row, "") + event.text
    raise AssertionError("there was no last event")


def test_parts_come_as_they_are_written(serve):
    _, client = serve()
    events = client.stream({"text": ["가나다"]})
    go(client, 1)
    first = next(events)
    assert (first.row, first.text, first.outputs) == (0, "가", None)
    go(client, 1)
    assert next(events).text == "나"
    go(client, 1)
    assert texts_of(events) == ({0: "다."}, ["가나다."])
    with pytest.raises(StopIteration):
        next(events)


def test_rows_have_streams_of_their_own(serve):
    _, client = serve()
    go(client, 5)
    answer = texts_of(client.stream(instances=[{"text": "한국어"}, {"text": "abcde"}, {"text": ""}]))
    assert answer == ({0: "한국어.", 1: "abcde.", 2: "."}, ["한국어.", "abcde.", "."])


def test_an_option_that_is_given_once_does_not_say_how_many_rows_there_are(serve):
    _, client = serve()
    go(client, 3)
    answer = texts_of(client.stream({"end": ["!"], "text": ["abc", "de"]}))
    assert answer == ({0: "abc!", 1: "de!"}, ["abc!", "de!"])


def test_reading_events_is_no_run_of_the_model(paced):
    """It waits in a thread of its own, whatever the session's do, and metrics of runs leave it out."""
    metrics = Metrics()
    servable = SavedModelLoader(SessionSettings(inter_op_threads=1), metrics)("paced", 1, str(paced / "1"))
    permit(servable, 3)
    before, told = metrics.total(SESSION_RUNS.name), []
    with servable.streams.follow(1, lambda row, text: told.append(text)) as stream:
        inputs = {"text": np.array([b"abc"], object), "stream": stream}
        servable.run(servable.signatures["stream"], inputs, ["text"])
        wait_until(lambda: told[-1:] == [b"abc"])
    assert metrics.total(SESSION_RUNS.name) == before + 1
    servable.close()
    assert not servable.streams._thread.is_alive()


def test_an_event_is_a_line_of_json(serve):
    server, client = serve(rest_api_enable_cors_support=True)
    go(client, 2)
    connection = http.client.HTTPConnection("localhost", server.rest_port, timeout=20)
    connection.request("POST", "/stream/v1/models/paced/versions/1", '{"instances": ["a\\n\\u2028"]}')
    go(client, 1)
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    lines = response.read().decode().split("\n\n")
    connection.close()
    assert lines.pop() == ""
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert "".join(event["text"] for event in events[:-1]) == "a\n\u2028."
    assert all(event.keys() == {"row", "text"} for event in events[:-1])
    assert events[-1] == {"predictions": ["a\n\u2028."]}


def test_streams_at_the_same_time(serve):
    _, client = serve()
    texts = ["가" * 5, "bcde" * 2, "x", "나비 나비"]
    answers = {}
    threads = [
        threading.Thread(target=lambda t=text: answers.update({t: texts_of(client.stream({"text": [t]}))}))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    go(client, sum(map(len, texts)))
    for thread in threads:
        thread.join(20.0)
    assert answers == {text: ({0: f"{text}."}, [f"{text}."]) for text in texts}


def test_who_hangs_up_is_forgotten_and_holds_up_nobody(serve):
    server, client = serve()
    events = client.stream({"text": ["abcdef"]})
    go(client, 1)
    assert next(events).text == "a"
    events.close()
    assert reader_of(server).num_followed == 1  # the run goes on, to its end
    go(client, 5)
    wait_until(lambda: reader_of(server).num_followed == 0)
    wait_until(lambda: num_running(server) == 0)
    go(client, 2)
    assert texts_of(client.stream({"text": ["xy"]})) == ({0: "xy."}, ["xy."])


@pytest.mark.parametrize("permits", [0, 1])
def test_the_time_limit_holds(serve, permits):
    """Before the first part it is a status; later it is an event."""
    server, client = serve(rest_api_timeout_in_ms=400)
    go(client, permits)
    events = client.stream({"text": ["abc"]})
    if permits:
        assert next(events).text == "a"
    with pytest.raises(ServerError, match=r"(?i)timed out|deadline") as caught:
        next(events)
    assert caught.value.status == ("error" if permits else 504)
    assert reader_of(server).num_followed == 0


@pytest.mark.parametrize(
    ("model", "body", "status", "message"),
    [
        ("half", {"inputs": [1.0]}, 400, "Model half version 7 cannot stream. Expected the signatures"),
        ("nobody", {"inputs": ["a"]}, 404, "Servable not found for request: Latest\\(nobody\\)"),
        (
            "paced",
            {"inputs": ["a"], "signature_name": "go"},
            400,
            'cannot stream signature "go". Expected one',
        ),
        ("paced", {"inputs": ["a"], "signature_name": "no"}, 400, "Expected one of: stream\\."),
        ("paced", {"inputs": {"text": ["a"], "stream": [1]}}, 400, "`stream` is the server's own to choose"),
        ("paced", {"inputs": "a"}, 400, "A stream needs rows. Expected a list of texts"),
        ("paced", {"inputs": [1]}, 400, "not of expected type: string"),
        ("paced", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("paced:predict", {"inputs": ["a"]}, 400, "Malformed request: POST /stream/v1/models/paced:predict"),
        ("paced/versions/3", {"inputs": ["a"]}, 404, "Specific\\(paced, 3\\)"),
        ("paced/labels/x", {"inputs": ["a"]}, 400, "Unrecognized servable version label: x"),
    ],
)
def test_what_cannot_be_streamed_is_refused_as_a_predict_request_is(serve_once, model, body, status, message):
    connection = http.client.HTTPConnection("localhost", serve_once.rest_port, timeout=20)
    connection.request("POST", f"/stream/v1/models/{model}", json.dumps(body))
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Type"]) == (status, "application/json")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(json.loads(response.read())["error"])
    connection.request("GET", f"/stream/v1/models/{model}")
    assert connection.getresponse().status == 400
    connection.close()


@pytest.fixture(scope="module")
def serve_once(paced, models):
    """A server for requests that are refused."""
    folders = {"paced": paced, "half": models["half"]}
    registry = Registry([ServedModel(n, str(p), SavedModelLoader()) for n, p in folders.items()])
    for model in registry.models:
        assert model.poll() == []
    with Server(Options(port=0), registry=registry) as server:
        yield server


def test_the_events_are_the_servers_own(serve_once):
    client = connect(f"http://localhost:{serve_once.rest_port}", "paced")
    with pytest.raises(ServerError, match="This server reads stream_events itself"):
        client.predict({"wait": [True]}, signature_name="stream_events")
    assert client.predict({"wait": [False]}, signature_name="stream_events") == {"stream": [], "text": []}
    client.close()


def test_too_many_are_refused_at_once(serve):
    server, client = serve(rest_api_num_threads=1, max_waiting_requests=1)
    threads = [
        threading.Thread(target=lambda: list(client.stream({"text": ["a"]})), daemon=True) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: num_running(server) == 2)
    with pytest.raises(ServerError, match="429: Too many requests wait already"):
        next(client.stream({"text": ["a"]}))
    with server.registry.find("paced").use(None) as servable:
        permit(servable, 2)
    for thread in threads:
        thread.join(20.0)
    assert not any(thread.is_alive() for thread in threads)


def test_a_version_is_unloaded_after_its_last_stream(serve):
    server, client = serve()
    events, model, reader = client.stream({"text": ["ab"]}), server.registry.find("paced"), reader_of(server)
    go(client, 1)
    assert next(events).text == "a"
    with model.use(None) as servable:
        model.configure(model.base_path, None)
        model.poll()
        assert model.statuses()[0].state is State.UNLOADING
        permit(servable, 1)
    assert texts_of(events) == ({0: "b."}, ["ab."])
    wait_until(lambda: model.statuses()[0].state is State.END)
    assert not reader._thread.is_alive()


def test_a_server_that_is_stopped_lets_streams_end(serve):
    server, client = serve(grace_s=30.0)
    events = client.stream({"text": ["ab"]})
    go(client, 1)
    assert next(events).text == "a"
    finished = []
    stopping = threading.Thread(target=lambda: finished.append(server.stop()))
    with server.registry.find("paced").use(None) as servable:
        stopping.start()
        wait_until(lambda: server._rest._server.should_exit)
        permit(servable, 1)
    assert texts_of(events) == ({0: "b."}, ["ab."])
    stopping.join(30.0)
    assert finished == [True]


def test_a_stream_that_does_not_end_is_told_so_when_the_grace_period_is_over(serve):
    server, client = serve(grace_s=0.1)
    events = client.stream({"text": ["ab"]})
    go(client, 1)
    assert next(events).text == "a"
    with server.registry.find("paced").use(None) as servable:
        assert not server.stop()
        with pytest.raises(ServerError, match="error: The server is shutting down"):
            next(events)
        permit(servable, 1)


def test_streams_beside_batching(paced, tmp_path):
    """The reader waits for events, and so must not wait in a thread that runs batches."""
    file = tmp_path / "batching.pbtxt"
    file.write_text("max_batch_size { value: 4 } num_batch_threads { value: 3 }")
    options = Options(
        port=0,
        model_name="paced",
        model_base_path=str(paced),
        enable_batching=True,
        batching_parameters_file=str(file),
    )
    with Server(options) as server, connect(f"http://localhost:{server.rest_port}", "paced") as client:
        go(client, 3)
        assert texts_of(client.stream({"text": ["abc"]})) == ({0: "abc."}, ["abc."])
        go(client, 3)  # options that are left out, or given once, are for all rows
        assert texts_of(client.stream({"text": ["abc", "de"]})) == ({0: "abc.", 1: "de."}, ["abc.", "de."])
        go(client, 2)
        answer = texts_of(client.stream({"end": ["!"], "text": ["ab", "cd"]}))
        assert answer == ({0: "ab!", 1: "cd!"}, ["ab!", "cd!"])


def test_the_async_client(serve):
    server, client = serve()

    async def ask():
        async with AsyncClient(f"http://localhost:{server.rest_port}", "paced") as caller:
            go(client, 4)
            async for event in caller.stream({"text": ["abc"]}):
                assert event.text
                break  # hangs up
            await asyncio.to_thread(wait_until, lambda: reader_of(server).num_followed == 0)
            go(client, 2)
            return [event async for event in caller.stream({"text": ["xyz"]})]

    assert texts_of(asyncio.run(ask())) == ({0: "xyz."}, ["xyz."])


def test_streams_need_rest_and_one_form():
    with pytest.raises(TypeError, match="either `inputs` or `instances`"):
        connect("http://localhost:1").stream()
    with (
        connect("grpc://localhost:1") as client,
        pytest.raises(TypeError, match="Streams are a form of REST"),
    ):
        client.stream(["a"])
