"""The list of models and their labels, changed while the server runs: by request and by file."""

from __future__ import annotations

import shutil

import grpc
import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)

from keras_attn.serving import Options, Server, ServerError, connect
from keras_attn.serving.errors import ServingError
from keras_attn.serving.server import config_file
from keras_attn.serving.server.config_file import ConfigFilePoller

from ...waiting import wait_until


def config(models, *names, broken="", **more):
    request = model_management_pb2.ReloadConfigRequest()
    for name in names:
        entry = request.config.model_config_list.config.add(
            name=name, base_path=str(models[name]), model_platform="tensorflow"
        )
        entry.model_version_policy.all.SetInParent()
        for label, version in more.get(name, {}).items():
            entry.version_labels[label] = version
    if broken:
        request.config.model_config_list.config.add(
            name="broken", base_path=broken, model_platform="tensorflow"
        )
    return request


@pytest.fixture(scope="module")
def server(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "models.pbtxt"
    path.write_text(str(config(models, "half").config))
    options = Options(port=0, model_config_file=str(path), max_num_load_retries=0)
    with Server(options) as server:
        yield server


@pytest.fixture
def reload(server):
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        yield lambda request: stub.HandleReloadConfigRequest(request, timeout=60.0)


@pytest.fixture
def client():
    clients = []

    def make(server, name):
        clients.append(connect(f"http://localhost:{server.rest_port}", name, retries=0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def states(server, name):
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        response = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request)
        return {entry.version: entry.state for entry in response.model_version_status}


AVAILABLE, END = (
    get_model_status_pb2.ModelVersionStatus.AVAILABLE,
    get_model_status_pb2.ModelVersionStatus.END,
)


def test_models_come_and_go_by_request(server, models, reload, client):
    name = "/tensorflow/serving/request_count"
    request = config(models, "half", "two")
    request.metric_names.append(name)
    response = reload(request)
    assert response.status.error_code == 0
    assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [(name, 0)]
    assert client(server, "two").predict({"a": [[1, 2, 3]], "b": [1]})["total"] == [7.0]
    reload(config(models, "two"))
    wait_until(lambda: states(server, "half") == {7: END, 1: END})
    with pytest.raises(ServerError, match=r"404: Servable not found for request: Latest\(half\)"):
        client(server, "half").predict([1])
    reload(config(models, "half"))
    assert client(server, "half").predict([1]) == [3.5]


def test_labels(server, models, reload, client):
    reload(config(models, "half"))
    wait_until(lambda: states(server, "half") == {7: AVAILABLE, 1: AVAILABLE})
    reload(config(models, "half", half={"stable": 1, "canary": 7}))
    half = client(server, "half")
    assert half.predict([1], label="stable") == [2.5]
    assert half.predict([1], label="canary") == [3.5]
    with pytest.raises(ServerError, match="400: Unrecognized servable version label: other"):
        half.predict([1], label="other")
    with pytest.raises(grpc.RpcError) as caught:
        reload(config(models, "half", half={"stable": 5}))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert half.predict([1], label="stable") == [2.5]


def test_requests_that_cannot_be_served(server, models, reload, tmp_path, client):
    with pytest.raises(grpc.RpcError) as caught:
        reload(model_management_pb2.ReloadConfigRequest())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == (
        "ServerModelConfig type not supported by HandleReloadConfigRequest."
        " Only ModelConfigList is currently supported"
    )
    (tmp_path / "1").mkdir()
    with pytest.raises(grpc.RpcError) as caught:
        reload(config(models, "half", broken=str(tmp_path)))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details().startswith(
        "1 model(s) did not become available: {{{name: broken version: 1} due to error: NOT_FOUND: Could not"
    )
    assert client(server, "half").predict([1]) == [3.5]


def test_a_config_file_is_read_again(models, tmp_path, caplog, client):
    path = tmp_path / "models.pbtxt"
    path.write_text(str(config(models, "half").config))
    options = Options(port=0, model_config_file=str(path), model_config_file_poll_wait_seconds=0.1)
    with Server(options) as server:
        assert client(server, "half").predict([1]) == [3.5]
        path.write_text("dreams: 1")
        wait_until(lambda: "was not applied: INVALID_ARGUMENT: Invalid protobuf file" in caplog.text)
        path.write_text("")  # as while another program writes it
        wait_until(lambda: "not applied: FAILED_PRECONDITION: Cannot transition to requested" in caplog.text)
        assert client(server, "half").predict([1]) == [3.5]
        path.write_text(str(config(models, "half", broken=str(tmp_path / "nowhere")).config))
        wait_until(lambda: "broken" in [model.name for model in server.registry.models])
        path.write_text(str(config(models, "shout").config))  # the model that never comes holds nothing up
        assert client(server, "shout").wait_until_available() == 1
        wait_until(lambda: states(server, "half") == {7: END, 1: END})


def test_a_base_path_that_changes_in_the_file_is_followed(models, tmp_path, client):
    """With the same version number there: the stock server goes on with what it has."""
    for version in (1, 7):
        shutil.copytree(models["half"] / str(version), tmp_path / f"with_{version}" / "1")
    path = tmp_path / "models.pbtxt"
    path.write_text(str(config({"half": tmp_path / "with_1"}, "half").config))
    options = Options(port=0, model_config_file=str(path), model_config_file_poll_wait_seconds=0.1)
    with Server(options) as server:
        assert client(server, "half").predict([1]) == [2.5]
        path.write_text(str(config({"half": tmp_path / "with_7"}, "half").config))
        wait_until(lambda: client(server, "half").predict([1]) == [3.5])
        assert states(server, "half") == {1: AVAILABLE}


def test_what_is_wrong_with_a_file_is_logged_once(tmp_path, caplog, monkeypatch):
    class Manager:
        model_names, apply = ("m",), None

    def counted(*arguments, **more):
        looks.append(arguments)
        return read(*arguments, **more)

    looks, read = [], config_file.read_text_proto
    monkeypatch.setattr(config_file, "read_text_proto", counted)
    path = tmp_path / "models.pbtxt"
    path.write_text("dreams: 1")
    poller = ConfigFilePoller(str(path), Manager(), 0.01)
    poller.start()
    try:
        wait_until(lambda: len(looks) > 3)
    finally:
        poller.stop(5.0)
    assert len(caplog.records) == 1
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:" in caplog.text


def test_a_config_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ServingError, match=r"NOT_FOUND: .*/none; No such file or directory"):
        Server(Options(port=0, model_config_file=str(tmp_path / "none")))


def test_an_empty_config_file_serves_nothing(tmp_path, client):
    path = tmp_path / "models.pbtxt"
    path.touch()
    with (
        Server(Options(port=0, model_config_file=str(path))) as server,
        pytest.raises(ServerError, match="404: Could not find any versions of model half"),
    ):
        client(server, "half").status()
