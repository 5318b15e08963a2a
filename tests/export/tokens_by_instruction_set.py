"""Exports of every family answer with the same tokens, whatever instructions the server's processor has.

`tests/instruction_sets.py` runs this file.
"""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keras_attn
from keras_attn.export import export_saved_model
from keras_attn.export.verification.comparison import as_arrays, differences
from keras_attn.export.verification.tolerance import tolerance_of

from ..answering_process import AnsweringProcess
from ..instruction_sets import known_sets, processor_flags
from .conftest import FAMILIES, TEXTS, family_model, request_of

SIGNATURES = ("serving_default", "n_best", "score", "align")
PACKED = "packed transformer"
SETS, _ = known_sets(processor_flags())


@pytest.fixture(scope="module")
def processes():
    """A process with a Session for every set, and one with the processor's own, by name."""
    script = Path(__file__).parents[1] / "session_client.py"
    inherited = dict(os.environ)
    environments = {"its own": inherited} | {one.name: one.environment(inherited) for one in SETS}
    made = {name: AnsweringProcess(script, environment=of) for name, of in environments.items()}
    yield made
    for process in made.values():
        process.close()


@pytest.fixture(scope="module", params=[*FAMILIES, PACKED])
def exported(request, tokenizers, tmp_path_factory, few_signatures, unchecked):
    """The path of an export, and the tolerance of its answers."""
    tokenizer = tokenizers.characters
    family = "transformer" if request.param == PACKED else request.param
    model = family_model(family, tokenizer.vocabulary_size)
    text_to_text = keras_attn.TextToText(model, tokenizer, tokenizer, max_length=11, max_source_length=31)
    packed = "float32" if request.param == PACKED else None
    with few_signatures(*SIGNATURES), unchecked():
        path = export_saved_model(text_to_text, tmp_path_factory.mktemp("sets") / "model", packed=packed)
    tolerance = tolerance_of(text_to_text, [text.encode() for text in TEXTS])
    return SimpleNamespace(path=path, tolerance=tolerance)


@pytest.fixture(scope="module")
def answers(exported, processes, tmp_path_factory):
    """What each process answers, by signature."""
    folder = tmp_path_factory.mktemp("answers")
    requests = [(name, request_of(name, range(len(TEXTS)))) for name in SIGNATURES]
    (folder / "requests").write_bytes(pickle.dumps(requests))
    found = {}
    for name, process in processes.items():
        process.ask(exported.path, folder / "requests", folder / name)
        received = pickle.loads((folder / name).read_bytes())
        assert all(isinstance(answer, dict) for answer in received), received
        found[name] = dict(zip(SIGNATURES, map(as_arrays, received), strict=True))
    return found


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("name", [one.name for one in SETS])
def test_the_same_tokens(exported, answers, name, signature):
    assert differences(answers["its own"][signature], answers[name][signature], exported.tolerance) == []


def test_the_sets_are_in_force(answers):
    """Kernels of different sets add up in different orders, so that some bit of some number differs."""
    of_sets = [answers[one.name]["score"]["token_log_probs"] for one in SETS]
    if len(SETS) < 2:
        pytest.skip("this processor has one set alone")
    assert any(not np.array_equal(of_sets[0], other) for other in of_sets[1:])
