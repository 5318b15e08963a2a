"""Checks that `.keras` files of earlier versions load and compute the same.

`make_saved_models.py` wrote the archives. One that exists is never written anew.
"""

import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_attn

from ..bounds import assert_close
from .make_saved_models import INPUTS

DATA = Path(__file__).parents[1] / "data" / "saved_models"
ARCHIVES = sorted(DATA.glob("*.tar.xz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_outputs_are_the_saved_ones(archive, tmp_path):
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    outputs = np.load(tmp_path / "outputs.npz")
    assert len(outputs) >= 12
    for name in outputs:
        model = keras_attn.load_model(tmp_path / f"{name}.keras")
        assert type(model.loss).__name__ == "SequenceCrossentropy"
        # No sum here has more than 100 terms; eight of them follow each other.
        assert_close(keras.ops.convert_to_numpy(model(INPUTS)), outputs[name], 100, layers=8)
