"""Two devices train the same model as one; processes share out the rows of a batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_attn.training.batches.batches import Batches
from keras_attn.training.batches.rows_of_process import RowsOfProcess

from . import several_devices

SCRIPT = Path(several_devices.__file__)
SECONDS = 600


def start(kind, folder):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, SCRIPT, kind, folder]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def finish(*processes):
    try:
        for process in processes:
            _, errors = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in processes:
            process.kill()


def assert_same(folder, one, other):
    histories = [json.loads((folder / f"{kind}.json").read_text()) for kind in (one, other)]
    for name in ("loss", "perplexity", "val_perplexity", "val_loss"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4)
    assert histories[0]["loss"][1] < histories[0]["loss"][0]
    models = [keras.models.load_model(folder / f"{kind}.keras", compile=False) for kind in (one, other)]
    for pair in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(*pair, rtol=2e-3, atol=2e-4)


@pytest.mark.exhaustive
def test_two_devices(tmp_path):
    mirrored = start("mirrored", tmp_path)
    several_devices.main("one", tmp_path)
    finish(mirrored)
    assert_same(tmp_path, "one", "mirrored")


def test_rows_of_processes():
    ids = [np.arange(4, 7 + index % 3) for index in range(13)]
    whole = Batches(ids, ids, 5, seed=7)
    parts = [RowsOfProcess(whole, index, 3) for index in range(3)]
    for batch in range(len(whole)):
        inputs, labels = whole[batch]
        gathered = [part[batch] for part in parts]
        assert len({len(rows) for _, rows in gathered}) == 1
        for name, expected, values in (
            ("labels", labels, [rows for _, rows in gathered]),
            ("source", inputs["source"], [rows["source"] for rows, _ in gathered]),
            ("target", inputs["target"], [rows["target"] for rows, _ in gathered]),
        ):
            together = np.stack(values, axis=1).reshape(-1, expected.shape[1])  # dealt out in turns
            np.testing.assert_array_equal(together[: len(expected)], expected, err_msg=name)
            assert not together[len(expected) :].any()
