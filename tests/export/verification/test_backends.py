"""What the ways to an answer refuse; what they answer is held by the tests of `keras-attn verify`."""

import pytest

from keras_attn.cli.server_backends import ServerFailedError, server_ways
from keras_attn.export.verification.backends import disable_xla


def test_a_folder_that_no_server_takes(tmp_path):
    with (
        pytest.raises(
            ServerFailedError, match=r"The server does not take the version: .*Could not find SavedModel"
        ),
        server_ways(tmp_path),
    ):
        raise AssertionError("it was served")


@pytest.mark.exhaustive
def test_xla_can_be_switched_off(run_python):
    """In a process of its own: there is no way back."""
    script = """
import tensorflow as tf
from keras_attn.export.verification.backends import disable_xla
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
