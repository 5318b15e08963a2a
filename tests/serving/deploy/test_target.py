"""What follows from a model and its machines."""

import re

import pytest

from keras_attn.serving.deploy import Target

BATCHING = "max_batch_size { value: 37 }\npad_variable_length_inputs: true\n"


def target(**changes):
    return Target(
        **{"model_name": "dates", "base_path": "/m", "num_bytes": 11, "batching": BATCHING, "graph_bytes": 0}
        | changes
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dates", "dates"),
        ("Multi30k_de.en", "multi30k-de-en"),
        ("a--b", "a-b"),
        ("x_", "x"),
        ("2024-03-01", "m-2024-03-01"),
    ],
)
def test_names_of_objects_are_dns_labels(name, expected):
    made = target(model_name=name).service_name
    assert made == expected
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", made)


@pytest.mark.parametrize("name", ["", "_", ".hidden", "a b", "a/b", 'a"b', "날짜", "x" * 45])
def test_names_that_no_url_or_object_can_have(name):
    with pytest.raises(ValueError, match=r"`model_name` cannot stand in a URL.*Give another name"):
        target(model_name=name)


def test_a_server_without_cores():
    with pytest.raises(ValueError, match=r"`cpus` must be at least 1. Received: cpus=0"):
        target(cpus=0)


def test_settings_that_are_none():
    with pytest.raises(ValueError, match="`batching` is no text of a BatchingParameters"):
        target(batching="max_batch: 3")


def test_threads_follow_from_the_cores_and_the_batch():
    made = target(cpus=3)
    assert "num_batch_threads {\n  value: 3\n}" in made.batching_parameters
    assert "max_batch_size {\n  value: 37\n}" in made.batching_parameters
    assert made.num_threads == 2 * 37
    assert target(cpus=5, batching="").num_threads == 4 * 5  # a batch of one


MEBIBYTE = 2**20


@pytest.mark.parametrize(
    ("size", "graph", "constants", "memory", "storage"),
    [
        (0, 0, 0, 1024, 1),
        (1, 0, 0, 1280, 1),
        (64 * MEBIBYTE, 0, 0, 1280, 1),
        (2**30, 0, 0, 5120, 8),
        (2 * MEBIBYTE, 2 * MEBIBYTE, 0, 1024 + 512, 1),  # the graph counts for more than its size on disk
        (32 * MEBIBYTE, 16 * MEBIBYTE, 16 * MEBIBYTE, 18 * 256, 1),
        (MEBIBYTE, 2 * MEBIBYTE, 0, 1024 + 512, 1),  # twice, with batching in the graph
    ],
)
def test_memory_and_storage_grow_with_the_model(size, graph, constants, memory, storage):
    made = target(num_bytes=size, graph_bytes=graph, constant_bytes=constants)
    assert (made.memory_mib, made.storage_gib) == (memory, storage)


@pytest.mark.parametrize(
    ("graph", "constants", "others", "measured"),
    [
        (2.34, 0.01, 1.7, 333),
        (3.15, 0.01, 0.1, 451),
        (8.24, 0.03, 24.0, 986),
        (3.99, 15.62, 0.8, 1462),
        (3.74, 32.27, 0.8, 2519),
    ],
)
def test_memory_is_enough_for_what_was_measured_but_not_twice_as_much(graph, constants, others, measured):
    """In MB, over the server alone, which took 774 MB."""
    sizes = [round(1e6 * size) for size in (graph + constants + others, graph, constants)]
    made = target(**dict(zip(("num_bytes", "graph_bytes", "constant_bytes"), sizes, strict=True)))
    assert 774 + measured < made.memory_mib * 2**20 / 1e6 < 1.6 * (774 + measured)
