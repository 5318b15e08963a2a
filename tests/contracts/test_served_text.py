"""One artefact, one answer: the eager model, REST and gRPC agree on every text, or refuse it alike."""

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.service.service import Service
from keras_attn.export.service.signatures import signature_defaults
from keras_attn.export.verification.comparison import as_arrays, differences, rows_of
from keras_attn.export.verification.tolerance import tolerance_of
from keras_attn.serving import GrpcClient, Options, Server, ServerError, connect

# What people type and what breaks things: nothing, spaces, Hangul composed and not, emoji with joiners,
# controls, bytes that are no UTF-8 (cut short, overlong, a lone surrogate).
TEXTS = [
    "안녕하세요 세계".encode(),
    b"ein Hund",
    b"",
    b" \t\n ",
    "한국어".encode(),
    "\u1112\u1161\u11ab".encode(),
    "🙂👨\u200d👩\u200d👧".encode(),
    b"a\x00b\x07",
    "ein\u00a0Hund\u2028läuft".encode(),
    b"ein \xff\xfe Hund",
    b"ein H\xc3",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
]


@pytest.fixture(scope="module")
def server(exported):
    base_path = str(exported.parent)
    options = Options(port=0, model_name="tiny", model_base_path=base_path, enable_model_warmup=False)
    with Server(options) as server:
        yield server


@pytest.fixture(scope="module")
def clients(server):
    rest_url, grpc_url = f"http://localhost:{server.rest_port}", f"grpc://localhost:{server.grpc_port}"
    with connect(rest_url, "tiny") as rest, connect(grpc_url, "tiny") as grpc:
        yield rest, grpc


@pytest.fixture(scope="module")
def tolerance(text_to_text):
    return tolerance_of(text_to_text, TEXTS)


@pytest.mark.parametrize(
    "texts", [TEXTS, TEXTS[::-1], TEXTS[:1], TEXTS[2:3]], ids=["all", "back", "one", "empty"]
)
def test_rest_and_grpc_answer_like_the_eager_model(text_to_text, tolerance, clients, texts):
    eager = as_arrays(text_to_text.translate(tf.constant(texts)))
    for client in clients:
        assert differences(eager, as_arrays(client.predict({"text": texts})), tolerance) == []


def test_alignments_are_served(text_to_text, tolerance, clients):
    texts = TEXTS[:2]
    eager = as_arrays(text_to_text.align(tf.constant(texts)))
    for client in clients:
        answer = as_arrays(client.predict({"text": texts}, signature_name="align"))
        assert differences(eager, answer, tolerance) == []


def test_requests_that_are_run_together_are_answered_alike(text_to_text, tolerance, exported, tmp_path):
    """Session batching: texts of other clients in the batch change nothing."""
    path = tmp_path / "batching.pbtxt"
    path.write_text(f"max_batch_size {{ value: {len(TEXTS)} }} batch_timeout_micros {{ value: 200000 }}")
    options = Options(
        port=0,
        rest_api_num_threads=len(TEXTS),
        model_name="tiny",
        model_base_path=str(exported.parent),
        enable_batching=True,
        enable_model_warmup=False,
        batching_parameters_file=str(path),
    )
    answers = {}
    with Server(options) as server:

        def ask(text):
            with connect(f"http://localhost:{server.rest_port}", "tiny") as client:
                answers[text] = client.predict({"text": [text]})

        threads = [threading.Thread(target=ask, args=(text,)) for text in TEXTS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        num_runs = server.metrics.total("/tensorflow/serving/batching_session/wrapped_run_count")
    assert num_runs < len(TEXTS)
    eager = as_arrays(text_to_text.translate(tf.constant(TEXTS)))
    for number, text in enumerate(TEXTS):
        assert differences(rows_of(eager, [number]), as_arrays(answers[text]), tolerance) == []


def test_text_that_is_too_long_is_refused_and_the_next_one_answered(clients):
    for client, status in zip(clients, (400, "INVALID_ARGUMENT"), strict=True):
        for long in (b"ein Hund " * 300, b"x " * 500_000):
            with pytest.raises(ServerError, match="`text` is too long: expected at most") as caught:
                client.predict({"text": [b"ein Hund", long]})
            assert caught.value.status == status
        assert len(client.predict({"text": [b"ein Hund"]})["text"]) == 1


def test_raw_bytes_in_a_json_string_are_answered(server):
    """JSON that is no UTF-8, as `curl` sends it when the file was saved as CP949."""
    body = b'{"instances": ["' + "안녕".encode("cp949") + b'"]}'
    request = urllib.request.Request(f"http://localhost:{server.rest_port}/v1/models/tiny:predict", body)
    with urllib.request.urlopen(request) as response:
        (prediction,) = json.loads(response.read())["predictions"]
    assert set(prediction) == {"text", "score"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [1]}', "not of expected type: string"),
        (b'{"instances": ["a"', "JSON Parse error"),
        (b'{"inputs": {"words": ["a"]}}', "Missing named input: text"),
        (
            b'{"instances": ["a"], "signature_name": "translate"}',
            'Serving signature name: "translate" not found',
        ),
    ],
)
def test_bad_bodies(server, body, message):
    request = urllib.request.Request(f"http://localhost:{server.rest_port}/v1/models/tiny:predict", body)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code == 400
        assert message in json.loads(error.read())["error"]


def test_an_empty_batch_over_grpc_is_an_empty_answer(clients):
    _, grpc = clients
    answer = grpc.predict_arrays({"text": np.array([], dtype=object)})
    assert {name: value.shape for name, value in answer.items()} == {"text": (0,), "score": (0,)}


@pytest.mark.parametrize("signature", ["n_best", "sample", "align", "encode"])
def test_options_that_are_left_out_are_filled_in_by_the_server(text_to_text, tolerance, clients, signature):
    service = Service(text_to_text)
    defaults = signature_defaults(service, signature)
    text = np.array(TEXTS[:3], object)
    eager = as_arrays(service.answer(signature, {"text": tf.constant(text), **defaults}))
    for client in clients:
        answer = client.predict({"text": text}, signature_name=signature)
        assert differences(eager, as_arrays(answer), tolerance) == []


# What joins requests sees no tokenizer.
OF_CHARACTERS = pytest.mark.parametrize("text_to_text", ["characters"], indirect=True)


@pytest.fixture(scope="module")
def batching_client(exported):
    """A server that joins requests, with the settings that the export brings."""
    options = Options(
        port=0,
        model_name="tiny",
        model_base_path=str(exported.parent),
        enable_batching=True,
        enable_model_warmup=False,
        batching_parameters_file=str(exported / "batching_params.pbtxt"),
    )
    with Server(options) as server, GrpcClient(f"localhost:{server.grpc_port}", "tiny") as grpc:
        yield grpc


@OF_CHARACTERS
def test_a_server_that_joins_requests_gives_every_row_its_own_answer(
    text_to_text, tolerance, batching_client
):
    service = Service(text_to_text)
    text = np.array(["안녕하세요".encode(), b"ein Hund", b"3"], object)
    inputs = {"text": text, "max_length": np.array([13, 5, 2], np.int32)}
    inputs |= {"length_penalty": np.array([0, 1, 2], np.float32), "target_prefix": np.array([b"", b"", b"H"])}
    ids = {"lengths": np.array([1, 3, 2], np.int32), "max_length": np.array([13, 7, 2], np.int32)}
    widths = [np.array([[9]]), np.array([[12, 7, 8]]), np.array([[5, 31]])]
    padded = np.array([[9, 9, 9], [12, 7, 8], [5, 31, 5]], np.int32)
    best = as_arrays(service.answer("n_best", inputs))
    decoded = as_arrays(service.answer("decode_ids", {"ids": padded, **ids}))

    def ask(row):
        one = {key: array[row : row + 1] for key, array in inputs.items()}
        of_ids = {key: array[row : row + 1] for key, array in ids.items()}
        of_ids["ids"] = widths[row].astype(np.int32)  # joined, they are padded with their own first id
        answers = (
            batching_client.predict(one, signature_name="n_best"),
            batching_client.predict(of_ids, signature_name="decode_ids"),
        )
        return [as_arrays(answer) for answer in answers]

    rows = [0, 1, 2, 1, 0, 2]
    with ThreadPoolExecutor(len(rows)) as pool:
        answers = list(pool.map(ask, rows))
    for row, (of_text, of_ids) in zip(rows, answers, strict=True):
        assert differences(rows_of(best, [row]), of_text, tolerance) == []
        assert differences(rows_of(decoded, [row]), of_ids, tolerance) == []


@OF_CHARACTERS
@pytest.mark.parametrize("signature", ["n_best", "sample", "align"])
def test_a_server_that_joins_requests_gives_an_option_for_all_to_every_row(
    clients, tolerance, batching_client, signature
):
    """Left out or given once: without joining, the graph repeats it."""
    option = {"target": [b"Hund"]} if signature == "align" else {"target_prefix": [b"H"]}
    for inputs in ({}, option):
        inputs = {"text": np.array(TEXTS[:3], object)} | {
            key: np.array(v, object) for key, v in inputs.items()
        }
        alone = as_arrays(clients[1].predict(inputs, signature_name=signature))
        joined = as_arrays(batching_client.predict(inputs, signature_name=signature))
        assert differences(alone, joined, tolerance) == []


@OF_CHARACTERS
def test_a_bad_text_is_refused_alone_where_requests_are_joined(batching_client):
    texts = [b"ein Hund", b"ein Hund " * 300, b"x"]

    def ask(text):
        try:
            return len(batching_client.predict({"text": np.array([text], object)})["text"])
        except ServerError as error:
            return str(error)

    with ThreadPoolExecutor(len(texts)) as pool:
        first, refusal, last = pool.map(ask, texts)
    assert (first, last) == (1, 1)
    assert "`text` is too long" in refusal


@OF_CHARACTERS
def test_as_many_rows_as_a_server_lets_in_are_joined(batching_client):
    """64, with the settings that the export brings."""
    text = np.array([TEXTS[1]] * 64, object)
    assert len(batching_client.predict({"text": text})["text"]) == 64
    assert len(batching_client.predict({"text": text[:33]}, signature_name="align")["alignment"]) == 33


def test_streamed_texts_are_the_answer(clients, tolerance):
    rest, _ = clients
    rows, outputs = {}, None
    for event in rest.stream({"text": TEXTS}):
        if event.row is None:
            outputs = event.outputs
        else:
            rows.setdefault(event.row, []).append(event.text)
    expected = rest.predict({"text": TEXTS})
    assert differences(as_arrays(expected), as_arrays(outputs), tolerance) == []
    assert {row: "".join(parts) for row, parts in rows.items()} == {
        row: text for row, text in enumerate(expected["text"]) if text
    }


def test_streamed_samples_are_the_samples(clients):
    rest, _ = clients
    inputs = {"text": TEXTS[:2], "seed": [3, 4], "temperature": [1.5, 0.8]}
    *parts, last = rest.stream(inputs, signature_name="sample")
    assert last.outputs == rest.predict(inputs, signature_name="sample")
    for row, text in enumerate(last.outputs["text"]):
        assert "".join(part.text for part in parts if part.row == row) == text
