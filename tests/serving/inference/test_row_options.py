"""One value for all rows: the same answers whether a server joins requests or not."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.quiet import import_tensorflow
from keras_attn.serving import Options, Server, ServerError, connect
from keras_attn.serving.errors import ServingError
from keras_attn.serving.inference.row_options import rows_of, with_value_each_row
from keras_attn.serving.inference.signatures import Signature, TensorInfo

tf = import_tensorflow()
NAMES = ("text", "other", "length", "mark", "wide")
DEFAULTS = {"length": np.array([7]), "mark": np.array([b"."], object), "wide": np.array([[0, 1]])}
SIGNATURE = Signature("f", {name: TensorInfo(f"f_{name}:0", 7) for name in NAMES}, {}, DEFAULTS)


def rows(count):
    return np.arange(count)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"text": rows(3)}, 3),
        ({"length": rows(1), "text": rows(3)}, 3),
        ({"length": rows(3), "text": rows(1)}, 1),
        ({"length": rows(1), "text": rows(0)}, 0),
        ({"length": rows(1), "mark": rows(4)}, 4),
        ({"text": np.array(1), "other": rows(2)}, 2),
        ({"text": np.array(1), "length": rows(2)}, None),
        ({}, None),
    ],
)
def test_the_rows_of_a_request(inputs, expected):
    assert rows_of(SIGNATURE, inputs) == expected


def test_defaults_and_options_of_one_row_are_repeated():
    values = with_value_each_row(SIGNATURE, {"text": rows(3), "length": np.array([5])})
    assert {name: array.tolist() for name, array in values.items()} == {
        "text": [0, 1, 2],
        "length": [5, 5, 5],
        "mark": [b".", b".", b"."],
        "wide": [[0, 1], [0, 1], [0, 1]],
    }


def test_no_rows_stay_none_and_without_inputs_there_is_one():
    assert {len(array) for array in with_value_each_row(SIGNATURE, {"text": rows(0)}).values()} == {0}
    assert {len(array) for array in with_value_each_row(SIGNATURE, {}).values()} == {1}


@pytest.mark.parametrize(
    ("inputs", "received"),
    [
        ({"text": rows(3), "length": rows(2)}, "length 2, mark 3, text 3, wide 3"),
        ({"text": rows(3), "other": rows(1)}, "length 3, mark 3, other 1, text 3, wide 3"),
        ({"text": rows(3), "wide": np.zeros((1, 9))}, "length 3, mark 3, text 3, wide 1"),
    ],
)
def test_an_error_names_the_inputs_and_their_rows(inputs, received):
    with pytest.raises(ServingError) as caught:
        with_value_each_row(SIGNATURE, inputs)
    assert caught.value.message == (
        "Batching Run() input tensors must have equal 0th-dimension size. Expected as many rows in every"
        f" input. Received: {received}. Give every input a value for each row."
    )


class Repeats(tf.Module):
    """Repeats an option for all rows, as the signatures do that `keras-attn export` writes."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.float32, "factor")]
    )
    def call(self, x, factor=tf.constant([3.0])):  # noqa: B008
        size = tf.shape(factor)[0]
        fits = tf.debugging.Assert((size == tf.shape(x)[0]) | (size == 1), ["does not fit", size])
        with tf.control_dependencies([fits]):
            return {"y": x * factor}


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """Clients over REST and gRPC of servers of `Repeats`, one that joins requests and one that does not."""
    base_path, module = tmp_path_factory.mktemp("repeats"), Repeats()
    tf.saved_model.save(module, str(base_path / "1"), signatures={"serving_default": module.call})
    settings = {"port": 0, "model_name": "repeats", "model_base_path": str(base_path)}
    servers = [Server(Options(**settings, enable_batching=joins)) for joins in (False, True)]
    clients = []
    for server in servers:
        server.start()
        for url in (f"http://localhost:{server.rest_port}", f"grpc://localhost:{server.grpc_port}"):
            clients.append(connect(url, "repeats", retries=0))
    yield clients
    for client in clients:
        client.close()
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("factor", "expected"), [(None, [3, 6, 9]), ([2.0], [2, 4, 6]), ([2.0, 3.0, 4.0], [2, 6, 12])]
)
def test_answers_with_and_without_batching(clients, factor, expected):
    options = {} if factor is None else {"factor": factor}
    for client in clients:
        assert list(client.predict({"x": [1.0, 2.0, 3.0], **options})) == expected


def test_what_the_graph_refuses_is_refused_with_and_without_batching(clients):
    words = ["does not fit"] * 2 + ["Received: factor 2, x 1"] * 2
    for client, expected in zip(clients, words, strict=True):
        with pytest.raises(ServerError, match=expected):
            client.predict({"x": [1.0], "factor": [1.0, 2.0]})
