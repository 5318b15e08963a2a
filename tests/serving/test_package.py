from __future__ import annotations

import os

import pytest

import keras_attn.serving
from keras_attn.quiet import _stderr_held_back


def test_public_names():
    for name in keras_attn.serving.__all__:
        assert getattr(keras_attn.serving, name).__name__ == name
    with pytest.raises(AttributeError, match=r"has no attribute 'Nothing'\. Expected one of"):
        _ = keras_attn.serving.Nothing
    assert dir(keras_attn.serving) == keras_attn.serving.__all__


def test_what_was_held_back_is_shown_when_the_import_fails(capfd):
    with _stderr_held_back():
        os.write(2, b"start-up line\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError, match="broken"):
        _fail_to_import()
    assert capfd.readouterr().err == "the reason\n"


def _fail_to_import():
    with _stderr_held_back():
        os.write(2, b"the reason\n")
        raise ImportError("broken")
