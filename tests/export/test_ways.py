"""A Transformer's export, asked every way there is; a recurrent one is asked by the tests of the command."""

import pytest

from keras_attn.cli.server_ways import ServerFailedError, server_ways
from keras_attn.export.questions import example_texts, questions
from keras_attn.export.verification import batches_of, check_ways
from keras_attn.export.ways import EagerWay, LoadedWay, SessionWay, disable_xla


@pytest.mark.slow
@pytest.mark.parametrize("family", ["transformer"], indirect=True)
def test_eager_loaded_session_rest_and_grpc_agree(family):
    inner = family.text_to_text
    texts = [*example_texts(inner.source_tokenizer, inner.max_source_length, lengths=(7,)), "세계".encode()]
    tokenizers = inner.source_tokenizer, inner.target_tokenizer
    requests = questions(texts, texts[::-1], tokenizers, inner.max_length)
    session = SessionWay(family.path)
    with server_ways(family.path) as served:
        ways = [EagerWay(family.service), LoadedWay(family.path), session, *served]
        checks = check_ways(ways, requests, batches_of(len(texts)))
    session.close()
    assert [check.name for check in checks] == ["eager", "tf.saved_model.load", "Session", "REST", "gRPC"]
    assert [check.problems for check in checks] == [()] * 5


def test_a_folder_that_no_server_takes(tmp_path):
    with (
        pytest.raises(
            ServerFailedError, match=r"The server does not take the version: .*Could not find SavedModel"
        ),
        server_ways(tmp_path),
    ):
        raise AssertionError("it was served")


def test_xla_can_be_switched_off(run_python):
    """In a process of its own: there is no way back."""
    script = """
import tensorflow as tf
from keras_attn.export.ways import disable_xla
assert disable_xla()
try:
    tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))
except tf.errors.InternalError as error:
    print(error.message)
"""
    assert "XLA compilation disabled" in run_python(script)


def test_a_platform_without_the_switch_says_so(monkeypatch):
    def missing(path):
        raise OSError(path)

    monkeypatch.setattr("ctypes.CDLL", missing)
    assert disable_xla() is False
