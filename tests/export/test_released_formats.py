"""Exports of every format that was ever released still load and give the answers they gave.

`make_released_format.py` beside this file wrote what `tests/data/released` holds. A format that is out there
is never written anew: a new format gets a new file.
"""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from keras_attn.export.manifest import FORMAT
from keras_attn.export.verification.backends import LoadedBackend, SessionBackend
from keras_attn.export.verification.comparison import as_arrays, differences
from keras_attn.export.verification.requests import load_tokenizer
from keras_attn.export.version_files import read_manifest

RELEASED = Path(__file__).parents[1] / "data" / "released"
FORMATS = sorted(path.name.removesuffix(".tar.xz") for path in RELEASED.glob("*.tar.xz"))


@pytest.fixture(scope="module", params=FORMATS)
def released(request, tmp_path_factory):
    """The unpacked version, and (signature, inputs, answer) of each request."""
    folder = tmp_path_factory.mktemp("released")
    with tarfile.open(RELEASED / f"{request.param}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    answers = json.loads((RELEASED / f"{request.param}.json").read_text(encoding="utf-8"))
    return folder / "1", [
        (entry["signature"], arrays(entry["inputs"]), arrays(entry["answer"])) for entry in answers
    ]


def arrays(described):
    made = {}
    for name, tensor in described.items():
        values = [x.encode() for x in tensor["values"]] if tensor["dtype"] == "object" else tensor["values"]
        array = np.empty(len(values), tensor["dtype"])
        array[:] = values
        made[name] = array.reshape(tensor["shape"])
    return made


def test_the_format_of_today_is_among_them():
    assert f"format-{FORMAT}" in FORMATS


@pytest.mark.parametrize("way", [pytest.param(LoadedBackend, marks=pytest.mark.exhaustive), SessionBackend])
def test_the_answers_are_those_of_the_day_it_was_made(released, way):
    folder, requests = released
    assert len(requests) >= 7
    asked = way(folder)
    for signature, inputs, answer in requests:
        assert differences(answer, as_arrays(asked.ask(signature, inputs)), 1e-4) == [], signature


def test_the_manifest_and_the_tokenizers_are_still_read(released):
    folder, _ = released
    manifest = read_manifest(folder)
    assert manifest["format"] >= 1
    for side in ("source", "target"):
        assert load_tokenizer(folder, manifest, side).vocabulary_size > 4
