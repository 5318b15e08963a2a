"""What follows from a model and its machines."""

import re

import pytest

from keras_attn.serving.deploy import Target

BATCHING = "max_batch_size { value: 37 }\npad_variable_length_inputs: true\n"


def target(**changes):
    return Target(
        **{"model_name": "dates", "base_path": "/m", "num_bytes": 11, "batching": BATCHING} | changes
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


@pytest.mark.parametrize(
    ("num_bytes", "memory", "storage"),
    [(0, 1024, 1), (1, 1280, 1), (64 * 2**20, 1280, 1), (64 * 2**20 + 1, 1536, 1), (2**30, 5120, 8)],
)
def test_memory_and_storage_grow_with_the_model(num_bytes, memory, storage):
    made = target(num_bytes=num_bytes)
    assert (made.memory_mib, made.storage_gib) == (memory, storage)
