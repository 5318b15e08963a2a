"""What is particular to gRPC: TLS, unix sockets, reflection, health, deadlines, limits."""

from __future__ import annotations

import shutil
import subprocess

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_attn.serving import GrpcClient, Options, Server, ServerError, connect
from keras_attn.serving.errors import ServingError
from keras_attn.serving.grpc.reflection_and_health import add_reflection
from keras_attn.serving.grpc.server import GrpcServer, GrpcSettings, parse_channel_arguments
from keras_attn.serving.server.tls import server_credentials
from keras_attn.serving.sockets import PortInUse

ONE = {"x": np.array([1.0], np.float32)}


@pytest.fixture
def serve(registry):
    servers = []

    def start(**options):
        servers.append(Server(Options(port=0, grpc_max_threads=3, **options), rest=False, registry=registry))
        assert servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server._grpc.stop(1.0)  # the models are other tests' as well


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Keys and certificates of a server and a client, signed by one authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "3"
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=localhost")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "3")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return {path.name: path.read_text() for path in folder.iterdir()}


def ssl_config(tmp_path, certificates, **more):
    fields = {"server_key": certificates["server.key"], "server_cert": certificates["server.pem"], **more}
    lines = []
    for name, value in fields.items():
        text = str(value).lower() if isinstance(value, bool) else '"' + value.replace("\n", "\\n") + '"'
        lines.append(f"{name}: {text}")
    path = tmp_path / "ssl.pbtxt"
    path.write_text("\n".join(lines))
    return str(path)


def ask(channel, model="half", inputs=ONE, timeout=20.0):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf_proto(array))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout)


def tf_proto(array):
    from keras_attn.serving.protos.tensors import to_proto

    return to_proto(array)


def test_tls(serve, certificates, tmp_path):
    server = serve(ssl_config_file=ssl_config(tmp_path, certificates))
    credentials = grpc.ssl_channel_credentials(certificates["ca.pem"].encode())
    with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials) as channel:
        assert ask(channel).outputs["y"].float_val == [3.5]
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_client_certificates(serve, certificates, tmp_path):
    path = ssl_config(tmp_path, certificates, custom_ca=certificates["ca.pem"], client_verify=True)
    server = serve(ssl_config_file=path)
    ca = certificates["ca.pem"].encode()
    own = (certificates["client.key"].encode(), certificates["client.pem"].encode())
    with grpc.secure_channel(
        f"localhost:{server.grpc_port}", grpc.ssl_channel_credentials(ca, *own)
    ) as channel:
        assert ask(channel).outputs["y"].float_val == [3.5]
    with grpc.secure_channel(f"localhost:{server.grpc_port}", grpc.ssl_channel_credentials(ca)) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_tls_settings_that_cannot_be_used(certificates, tmp_path):
    with pytest.raises(ServingError, match=r"server_key of .* is no PEM text"):
        server_credentials(ssl_config(tmp_path, certificates, server_key="/path/to/key.pem"))
    with pytest.raises(ServingError, match=r"client_verify of .* needs custom_ca"):
        server_credentials(ssl_config(tmp_path, certificates, client_verify=True))


def test_a_unix_socket(serve, tmp_path):
    path = str(tmp_path / "s")
    server = serve(grpc_socket_path=path)
    assert server.grpc_addresses == [f"0.0.0.0:{server.grpc_port}", f"unix:{path}"]
    for url in (f"unix:{path}", f"grpc://localhost:{server.grpc_port}"):
        with connect(url, "half") as client:
            assert client.predict(ONE) == [3.5]
    with pytest.raises(PortInUse, match=r"cannot listen on the socket .*/none/s\. Choose another path"):
        GrpcServer({}, GrpcSettings(socket_path=str(tmp_path / "none" / "s")))


def test_a_port_that_is_taken(serve):
    port = serve().grpc_port
    with pytest.raises(PortInUse, match=f"cannot listen on port {port}"):
        GrpcServer({}, GrpcSettings(port=port))


def test_reflection_lists_the_services(serve):
    pytest.importorskip("grpc_reflection", reason="grpcio-reflection is not installed")
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    always = {
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }
    extras = {"tensorflow.ProfilerService", "grpc.health.v1.Health"}
    for has_extras in (True, False):
        server = serve(enable_profiler=has_extras, enable_grpc_healthcheck_service=has_extras)
        with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            services = set(database.get_services())
            assert services == (always | extras if has_extras else always)
            pool = DescriptorPool(database)  # what is listed can be described, down to the fields
            methods = {name: set(pool.FindServiceByName(name).methods_by_name) for name in services}
        assert "Predict" in methods["tensorflow.serving.PredictionService"]
        if has_extras:
            assert methods["tensorflow.ProfilerService"] == {"Profile", "Terminate"}
            fields = pool.FindMessageTypeByName("tensorflow.ProfileRequest").fields_by_name
            assert fields["opts"].message_type.full_name == "tensorflow.ProfileOptions"


def test_reflection_without_its_package(monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "grpc_reflection.v1alpha", None)
    assert not add_reflection(None, ())
    assert "pip install grpcio-reflection" in caplog.text


def test_health(serve):
    pytest.importorskip("grpc_health", reason="grpcio-health-checking is not installed")
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    def check(server, name):
        with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
            request = health_pb2.HealthCheckRequest(service=name)
            return health_pb2_grpc.HealthStub(channel).Check(request).status

    server = serve(enable_grpc_healthcheck_service=True)
    for name in ("", "ModelService", "PredictionService"):
        assert check(server, name) == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        check(serve(), "")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_channel_arguments(serve):
    text = "grpc.max_receive_message_length=97,grpc.primary_user_agent=me"
    assert parse_channel_arguments(text) == {
        "grpc.max_receive_message_length": 97,
        "grpc.primary_user_agent": "me",
    }
    assert parse_channel_arguments("") == {}
    aged = serve(grpc_channel_arguments="grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb")
    with grpc.insecure_channel(f"localhost:{aged.grpc_port}") as channel:
        assert ask(channel).outputs["y"].float_val == [3.5]
    server = serve(grpc_channel_arguments=text)
    with grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask(channel, inputs={"x": np.zeros(89, np.float32)})
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_deadline_is_the_limit_of_the_run(serve):
    forever = {"x": np.array([2_000_000_000], np.int32)}
    with (
        GrpcClient(f"localhost:{serve().grpc_port}", "loop", timeout_s=0.2) as client,
        pytest.raises(ServerError, match="DEADLINE_EXCEEDED"),
    ):
        client.predict(forever)


def test_a_call_without_a_deadline(serve):
    with grpc.insecure_channel(f"localhost:{serve().grpc_port}") as channel:
        assert ask(channel, timeout=None).outputs["y"].float_val == [3.5]


def test_a_longer_message_than_allowed(serve):
    server = serve(max_request_bytes=1009)
    with GrpcClient(f"localhost:{server.grpc_port}", "half") as client:
        assert len(client.predict({"x": np.zeros(211, np.float32)})) == 211
        with pytest.raises(ServerError, match=r"RESOURCE_EXHAUSTED: .*larger than max"):
            client.predict({"x": np.zeros(307, np.float32)})


def test_tensor_content(models):
    options = Options(port=0, model_name="two", model_base_path=str(models["two"]))
    inputs = {"a": np.ones((1, 3), np.float32), "b": np.ones(1, np.float32)}
    for as_content in (False, True):
        changed = {**vars(options), "enable_serialization_as_tensor_content": as_content}
        with (
            Server(Options(**changed), rest=False) as server,
            grpc.insecure_channel(f"localhost:{server.grpc_port}") as channel,
        ):
            total = ask(channel, "two", inputs).outputs["total"]
        assert (bool(total.tensor_content), len(total.float_val)) == (as_content, 1 - as_content)
