"""What goes wrong in production, while clients go on asking: none of them may notice."""

from __future__ import annotations

import re
import resource
import shutil
import socket
import threading
import time

import numpy as np
import pytest

from keras_attn.serving import GrpcClient, Options, Server, connect

from ...waiting import wait_until
from ..conftest import HalfPlus, save

TIMEOUT_S = 30.0
POLL_S = 0.1  # a flag takes whole seconds; here nobody shall wait for them


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Complete versions to publish: offset -> directory."""
    root = tmp_path_factory.mktemp("versions")
    for offset in (1, 2, 3, 4):
        save(HalfPlus(float(offset)), root / str(offset))
    return {offset: root / str(offset) for offset in (1, 2, 3, 4)}


def publish(source, base_path, version):
    """Copies under another name first, as one should."""
    copy = base_path / f".{version}"
    shutil.copytree(source, copy)
    copy.rename(base_path / str(version))


@pytest.fixture
def served(versions, tmp_path):
    """A server whose version 1 adds 1, and its base path."""
    base_path = tmp_path / "models" / "half"
    publish(versions[1], base_path, 1)
    options = Options(
        port=0,
        model_name="half",
        model_base_path=str(base_path),
        max_num_load_retries=0,
        file_system_poll_wait_seconds=POLL_S,
    )
    with Server(options) as server, connect(f"http://localhost:{server.rest_port}", "half") as client:
        yield server, base_path, client


def test_new_versions_under_load(served, versions):
    """No request fails, no answer mixes versions, and each client sees them in order."""
    server, base_path, client = served
    answers, stop = [[] for _ in range(16)], threading.Event()
    values = np.array([2.0, 4.0], np.float32)

    def ask(seen, over_grpc):
        url = f"grpc://localhost:{server.grpc_port}" if over_grpc else f"http://localhost:{server.rest_port}"
        with connect(url, "half", retries=0) as own:
            while not stop.is_set():
                seen.append(tuple(own.predict({"x": values})))

    threads = [threading.Thread(target=ask, args=(seen, n % 2)) for n, seen in enumerate(answers)]
    for thread in threads:
        thread.start()
    possible = {version: (1.0 + version, 2.0 + version) for version in (1, 2, 3, 4)}
    wait_until(lambda: all(answers))
    for version in (2, 3, 4):
        publish(versions[version], base_path, version)
        newest = possible[version]  # published anew as soon as every client has seen it
        wait_until(lambda newest=newest: all(tuple(seen[-1]) == newest for seen in answers))
    wait_until(lambda: client.status() == {4: "AVAILABLE", 3: "END", 2: "END", 1: "END"})
    stop.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
    for seen in answers:
        numbers = [next(n for n, pair in possible.items() if pair == tuple(answer)) for answer in seen]
        assert numbers == sorted(numbers)
        assert numbers[0] == 1


def without_variables(directory):
    shutil.rmtree(directory / "variables")


def with_truncated_graph(directory):
    path = directory / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:101])


def with_corrupt_variables(directory):
    path = directory / "variables" / "variables.data-00000-of-00001"
    path.write_bytes(b"\0" * path.stat().st_size)


def with_nothing(directory):
    shutil.rmtree(directory)
    directory.mkdir()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without_variables, "FAILED_PRECONDITION: SavedModel at .* has no variables/variables.index"),
        (with_truncated_graph, "OUT_OF_RANGE: Read less bytes than requested"),
        (with_corrupt_variables, "DATA_LOSS: .*Checksum does not match"),
        (with_nothing, "NOT_FOUND: Could not find SavedModel"),
    ],
)
def test_a_damaged_version_leaves_the_served_one_alone(served, versions, tmp_path, caplog, damage, problem):
    _, base_path, client = served
    copy = tmp_path / "copy"
    shutil.copytree(versions[2], copy)
    damage(copy)
    copy.rename(base_path / "2")
    wait_until(lambda: client.status() == {2: "END", 1: "AVAILABLE"})
    wait_until(lambda: re.search(problem, caplog.text, re.DOTALL))  # logged after the state is set
    assert client.predict([2]) == [2.0]
    publish(versions[3], base_path, 3)
    wait_until(lambda: client.status().get(3) == "AVAILABLE")
    assert client.predict([2]) == [4.0]


def test_a_base_path_that_goes_away_and_comes_back(served, versions):
    _, base_path, client = served
    elsewhere = base_path.with_name("elsewhere")
    base_path.rename(elsewhere)
    time.sleep(5 * POLL_S)
    assert client.predict([2]) == [2.0]
    publish(versions[2], elsewhere, 2)
    elsewhere.rename(base_path)
    wait_until(lambda: client.status() == {2: "AVAILABLE", 1: "END"})
    assert client.predict([2]) == [3.0]


def test_one_broken_model_holds_up_no_other(versions, tmp_path):
    for name in ("good", "bad"):
        publish(versions[1], tmp_path / name, 1)
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" }}'
        for name in ("bad", "good")
    )
    config = tmp_path / "models.pbtxt"
    config.write_text(f"model_config_list {{ {entries} }}")
    # The broken version is tried again for minutes.
    options = Options(port=0, model_config_file=str(config), file_system_poll_wait_seconds=POLL_S)
    with Server(options, rest=False) as server:
        (tmp_path / "bad" / "2").mkdir()
        with GrpcClient(f"localhost:{server.grpc_port}", "bad") as bad:
            wait_until(lambda: bad.status() == {2: "LOADING", 1: "AVAILABLE"})
            publish(versions[2], tmp_path / "good", 2)
            with GrpcClient(f"localhost:{server.grpc_port}", "good") as good:
                wait_until(lambda: good.status() == {2: "AVAILABLE", 1: "END"})
            assert bad.predict({"x": [2.0]}) == [2.0]


def test_a_version_that_is_copied_in_place(served, versions):
    """Seen half-written, it fails; as its files go on changing, it is tried again until it is whole."""
    _, base_path, client = served
    (base_path / "2").mkdir()
    shutil.copy(versions[2] / "saved_model.pb", base_path / "2")
    wait_until(lambda: client.status() == {2: "END", 1: "AVAILABLE"})
    assert client.predict([2]) == [2.0]
    shutil.copytree(versions[2] / "variables", base_path / "2" / "variables")
    wait_until(lambda: client.status() == {2: "AVAILABLE", 1: "END"})
    assert client.predict([2]) == [3.0]


@pytest.fixture
def many_files():
    """Lets this process open as many files as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_many_open_connections(served, many_files):
    server, _, client = served
    silent = [socket.create_connection(("127.0.0.1", server.rest_port)) for _ in range(1009)]
    try:
        for connection in silent[::97]:  # some have begun to speak
            connection.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nContent-Length: 7\r\n\r\n{")
        with GrpcClient(f"localhost:{server.grpc_port}", "half") as over_grpc:
            for _ in range(11):
                assert client.predict([2]) == over_grpc.predict({"x": [2.0]}) == [2.0]
    finally:
        for connection in silent:
            connection.close()
