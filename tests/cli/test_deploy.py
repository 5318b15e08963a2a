"""`keras-attn deploy`: the files for an export, and a server of our own that runs on what they say."""

import contextlib
import http.client
import json
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from keras_attn.serving import connect

RELEASED = Path(__file__).parents[1] / "data" / "released"


@pytest.fixture
def base_path(tmp_path):
    """The base path of an export that is at hand."""
    with tarfile.open(RELEASED / "format-1.tar.xz") as archive:
        archive.extractall(tmp_path / "tiny_1", filter="data")
    return tmp_path / "tiny_1"


def changed_manifest(base_path, **changes):
    path = base_path / "1" / "assets.extra" / "keras_attn" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("version", ["", "1"])
def test_a_base_path_and_a_version_give_the_same_files(keras_attn, base_path, tmp_path, version):
    output = tmp_path / "new" / "folder"
    ran = keras_attn("deploy", base_path / version, "--kind", "compose", "--output", output)
    assert ran.code == 0
    assert f"Next: docker compose -f {output / 'compose.yaml'} up --wait" in ran.out
    assert sorted(path.name for path in output.iterdir()) == [
        "batching.pbtxt",
        "compose.yaml",
        "monitoring.pbtxt",
    ]
    text = (output / "compose.yaml").read_text()
    assert f'source: "{base_path}"' in text
    assert "--model_name=tiny_1" in text


def source_and_name(keras_attn, export, output, kind="compose"):
    """The lines of the file that say what is mounted, and the name of the model."""
    ran = keras_attn("deploy", export, "--kind", kind, "--output", output)
    assert ran.code == 0, ran.err
    text = (output / f"{kind}.yaml").read_text()
    (name,) = {line.partition("=")[2].rstrip('"') for line in text.splitlines() if "--model_name=" in line}
    return [line.strip() for line in text.splitlines() if 'source: "' in line], name


def test_a_version_that_is_a_link_lies_in_its_base_path(keras_attn, base_path, tmp_path):
    (base_path / ".store").mkdir()
    shutil.copytree(base_path / "1", base_path / ".store" / "d2")
    (base_path / "2").symlink_to(Path(".store") / "d2")
    expected = ([f'source: "{base_path}"'], "tiny_1")
    assert source_and_name(keras_attn, base_path, tmp_path / "a") == expected
    assert source_and_name(keras_attn, base_path / "2", tmp_path / "b") == expected


def test_a_version_that_is_a_link_to_elsewhere(keras_attn, base_path, tmp_path):
    shutil.copytree(base_path / "1", tmp_path / "store" / "d2")
    (base_path / "2").symlink_to(tmp_path / "store" / "d2")
    ran = keras_attn("deploy", base_path, "--kind", "compose", "--output", tmp_path / "a")
    assert (ran.code, ran.err.count("\n"), (tmp_path / "a").exists()) == (1, 1, False)
    assert f"{base_path / '2'} is a link to {tmp_path / 'store' / 'd2'}, which is not there" in ran.err
    assert source_and_name(keras_attn, base_path, tmp_path / "b", "kubernetes") == ([], "tiny_1")


def test_a_link_that_is_no_version_itself(keras_attn, base_path, tmp_path):
    (tmp_path / "current").symlink_to(base_path / "1")
    expected = ([f'source: "{base_path}"'], "tiny_1")
    assert source_and_name(keras_attn, tmp_path / "current", tmp_path / "a") == expected


@pytest.mark.parametrize("kind", ["compose", "kubernetes"])
def test_the_next_command_can_be_pasted(keras_attn, base_path, tmp_path, kind):
    output = tmp_path / "it's 한 글"
    ran = keras_attn("deploy", base_path, "--kind", kind, "--output", output)
    assert str(output / f"{kind}.yaml") in shlex.split(ran.out.partition("Next: ")[2])


def memory(path):
    (line,) = [line for line in path.read_text().splitlines() if "memory: " in line]
    return int(line.split()[1].removesuffix("M"))


def test_the_memory_follows_from_the_graph(keras_attn, base_path, tmp_path):
    for number, batching in enumerate((None, {"max_batch_size": 8})):
        changed_manifest(base_path, in_graph_batching=batching)
        output = tmp_path / str(number)
        assert keras_attn("deploy", base_path, "--kind", "compose", "--output", output).code == 0
        assert "from the size of the graph" in (output / "compose.yaml").read_text()
    graph = (base_path / "1" / "saved_model.pb").stat().st_size
    assert memory(tmp_path / "0" / "compose.yaml") > 1024 + 140 * graph / 2**20
    assert memory(tmp_path / "1" / "compose.yaml") > 1024 + 280 * graph / 2**20


def test_files_that_were_edited_are_kept(keras_attn, base_path, tmp_path):
    arguments = ["deploy", base_path, "--kind", "compose", "--output", tmp_path / "out"]
    assert keras_attn(*arguments).code == 0
    assert keras_attn(*arguments).code == 0  # the same again
    path = tmp_path / "out" / "compose.yaml"
    text = path.read_text()
    path.write_text("mine")
    ran = keras_attn(*arguments)
    assert (ran.code, path.read_text()) == (1, "mine")
    assert "compose.yaml with other content" in ran.err
    assert keras_attn(*arguments, "--force").code == 0
    assert path.read_text() == text


def test_what_the_options_say_is_in_the_files(keras_attn, base_path, tmp_path):
    options = ["--name", "de-en", "--image", "registry.example/serving:2.21.0", "--cpus", "5"]
    options += ["--storage-uri", "gs://bucket/de-en"]
    ran = keras_attn("deploy", base_path, "--kind", "kserve", "--output", tmp_path / "out", *options)
    assert ran.code == 0
    assert "Next: kubectl apply -f" in ran.out
    text = (tmp_path / "out" / "kserve.yaml").read_text()
    for part in (
        "--model_name=de-en",
        'image: "registry.example/serving:2.21.0"',
        "value: 5",
        'storageUri: "gs://bucket/de-en"',
    ):
        assert part in text


@pytest.mark.parametrize(
    ("image", "least", "code"),
    [
        ("tensorflow/serving:2.19.1", "2.20", 1),
        ("localhost:5000/serving:2.9", "2.16", 1),
        ("tensorflow/serving:2.20.0", "2.20", 0),
        ("tensorflow/serving:latest", "2.20", 0),
        ("localhost:5000/serving", "2.20", 0),
    ],
)
def test_an_image_that_is_too_old_is_refused(keras_attn, base_path, tmp_path, image, least, code):
    changed_manifest(base_path, least_server_version=least)
    arguments = ["--kind", "kubernetes", "--output", tmp_path / "out", "--image", image]
    ran = keras_attn("deploy", base_path, *arguments)
    assert ran.code == code
    assert (tmp_path / "out").exists() == (code == 0)
    if code:
        assert f"Expected TensorFlow Serving {least} or newer. Received: {image}" in ran.err


def test_a_name_that_cannot_be(keras_attn, base_path, tmp_path):
    arguments = ["--kind", "compose", "--output", tmp_path / "out", "--name", "a b"]
    ran = keras_attn("deploy", base_path, *arguments)
    assert ran.code == 1
    assert "`model_name` cannot stand in a URL" in ran.err
    assert not (tmp_path / "out").exists()


def test_an_address_is_for_kserve_alone(keras_attn, base_path, tmp_path):
    arguments = ["--kind", "compose", "--output", tmp_path, "--storage-uri", "gs://x/y"]
    ran = keras_attn("deploy", base_path, *arguments)
    assert ran.code == 2
    assert "--storage-uri is of kserve" in ran.err


def test_a_model_of_another_program(keras_attn, base_path, tmp_path):
    (base_path / "1" / "assets.extra" / "keras_attn" / "manifest.json").unlink()
    ran = keras_attn("deploy", base_path, "--kind", "compose", "--output", tmp_path / "out")
    assert ran.code == 1
    assert "has no manifest" in ran.err


@pytest.fixture
def deployed(keras_attn, base_path, tmp_path):
    """The Compose service and the Pod's container that the command wrote for an export."""
    yaml = pytest.importorskip("yaml", reason="it reads the files")
    folder = tmp_path / "deployed"
    for kind in ("compose", "kubernetes"):
        assert keras_attn("deploy", base_path, "--kind", kind, "--output", folder).code == 0
    compose = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["model-server"]
    kubernetes = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    pod = {document["kind"]: document for document in kubernetes}["Deployment"]["spec"]["template"]
    return folder, compose, pod


@contextlib.contextmanager
def running(flags):
    """A server of our own; killed at the end if it still runs."""
    command = [sys.executable, "-m", "keras_attn.serving", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        print(process.communicate(timeout=60)[0])  # shown where the test fails


def free_ports():
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def mounted(flags, service, base_path, folder, ports):
    """Flags with what the container has mounted where it comes from, and other ports."""
    places = {config["target"]: str(folder / f"{config['source']}.pbtxt") for config in service["configs"]}
    places |= {service["volumes"][0]["target"]: str(base_path), "8500": str(ports[0]), "8501": str(ports[1])}
    for flag in flags:
        name, _, value = flag.partition("=")
        yield f"{name}={places.get(value, value)}"


def get(port, path):
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.exhaustive
def test_a_server_runs_on_what_the_files_say(deployed, base_path):
    folder, service, pod = deployed
    (container,) = pod["spec"]["containers"]
    assert container["args"] == service["command"]
    ports = free_ports()
    (asked,) = [
        entry
        for entry in json.loads((RELEASED / "format-1.json").read_text(encoding="utf-8"))
        if entry["signature"] == "serving_default"
    ]
    health = [part.replace("8501", str(ports[1])) for part in service["healthcheck"]["test"][1:]]
    assert subprocess.run(health, check=False, capture_output=True).returncode != 0
    with (
        running(mounted(service["command"], service, base_path, folder, ports)) as process,
        connect(f"http://localhost:{ports[1]}", "tiny_1") as client,
    ):
        client.wait_until_available(timeout_s=180)
        assert process.poll() is None
        answer = client.predict({"text": asked["inputs"]["text"]["values"]})
        assert list(answer["text"]) == asked["answer"]["text"]["values"]
        np.testing.assert_allclose(answer["score"], asked["answer"]["score"]["values"], rtol=1e-4)
        assert subprocess.run(health, check=False).returncode == 0
        assert get(ports[1], container["startupProbe"]["httpGet"]["path"])[0] == 200
        status, page = get(ports[1], pod["metadata"]["annotations"]["prometheus.io/path"])
        assert status == 200
        assert ":tensorflow:serving:batching_session:" in page  # the settings were read
        assert 'model_warmup_records_read{model_path="' in page
