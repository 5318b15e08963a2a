"""What stands beside the graph: manifest, tokenizers, batching settings."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import export_saved_model
from keras_attn.export.assets import batching_parameters
from keras_attn.export.service.in_graph_batching import InGraphBatching
from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.checks import VerificationError
from keras_attn.export.verification.requests import load_tokenizer
from keras_attn.export.verification.servable_ops import check_ops
from keras_attn.export.version_files import NotAnExportError, read_manifest
from keras_attn.serving.batching.parameters import read_batching_parameters


@pytest.fixture(scope="module")
def manifest(family):
    return read_manifest(family.path)


def test_the_manifest_says_what_made_it_and_how_it_decodes(family, manifest):
    assert manifest["format"] == 1
    assert manifest["versions"]["tensorflow"] == tf.__version__
    assert manifest["versions"]["keras-attn"] == version("keras-attn")
    assert manifest["model"] == type(family.text_to_text.model).__name__
    beam = family.name == "transformer"
    assert manifest["decoding"] == {
        "max_length": 11,
        "max_source_length": 31,
        "strategy": "beam_search" if beam else "greedy",
        "beam_size": 3 if beam else 1,
        "length_penalty": "GNMTLengthPenalty" if beam else None,
        "n_best_beam_size": 3 if beam else 4,
        "num_hypotheses": 2,
    }
    assert manifest["in_graph_batching"] is None
    assert manifest["recipe"] is None


def test_the_manifest_lists_every_input_with_its_default(manifest):
    assert manifest["signatures"].keys() == INPUTS.keys()
    n_best = manifest["signatures"]["n_best"]
    assert n_best["inputs"]["text"] == {"dtype": "string", "shape": [None]}
    assert n_best["inputs"]["max_length"] == {"dtype": "int32", "shape": [None], "default": 11}
    assert n_best["inputs"]["target_prefix"]["default"] == ""
    assert n_best["outputs"]["text"] == {"dtype": "string", "shape": [None, 2]}


def test_the_manifest_lists_the_ops(family, manifest):
    check_ops(family.path)
    assert "LoopCond" in manifest["ops"]  # of a loop that is lowered
    assert manifest["ops"] == sorted(set(manifest["ops"]))
    assert manifest["least_server_version"] == "2.16"


def test_the_tokenizers_are_there(family, manifest):
    for side in ("source", "target"):
        loaded = load_tokenizer(family.path, manifest, side)
        original = getattr(family.text_to_text, f"{side}_tokenizer")
        text = tf.constant(["ein Hund 세계"])
        assert loaded.encode(text).to_list() == original.encode(text).to_list()
        assert manifest["tokenizers"][side]["vocabulary_size"] == loaded.vocabulary_size


def test_the_manifest_is_readable_json(family):
    text = (family.path / "assets.extra" / "keras_attn" / "manifest.json").read_text(encoding="utf-8")
    assert text.startswith("{\n")
    assert json.loads(text) == read_manifest(family.path)


def test_a_folder_of_another_program_has_no_manifest(tmp_path):
    with pytest.raises(NotAnExportError, match="has no manifest"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("batching", "size", "wait"),
    [
        (None, 64, 2000),
        (InGraphBatching(max_batch_size=17), 64, 0),
        (InGraphBatching(max_batch_size=90), 90, 0),
    ],
)
def test_the_batching_settings_are_what_the_server_reads(tmp_path, batching, size, wait):
    path = tmp_path / "batching_params.pbtxt"
    path.write_text(batching_parameters(batching))
    parameters = read_batching_parameters(str(path))
    assert (parameters.max_batch_size, parameters.batch_timeout_micros) == (size, wait)
    assert parameters.pad_variable_length_inputs
    assert not parameters.enable_large_batch_splitting
    assert parameters.allowed_batch_sizes == ()


def test_a_batch_holds_the_largest_request_that_the_readme_lets_in(tmp_path):
    """As it is not split: the stock server cannot put together parts that are answered in other lengths."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (rows,) = set(re.findall(r"--max_request_rows=(\d+)", readme))
    path = tmp_path / "batching_params.pbtxt"
    path.write_text(batching_parameters(None))
    parameters = read_batching_parameters(str(path))
    assert parameters.execution_size == parameters.max_batch_size >= int(rows)


def test_the_export_brings_them(family):
    assert (family.path / "batching_params.pbtxt").read_text() == batching_parameters(None)


class Own(tf.Module):
    """A tokenizer that has what the protocol asks for, and nothing else."""

    def __init__(self, tokenizer):
        self.inner = tokenizer
        self.vocabulary_size = tokenizer.vocabulary_size
        self.encode, self.decode, self.pieces = tokenizer.encode, tokenizer.decode, tokenizer.pieces


def test_a_tokenizer_of_ones_own_is_in_the_graph_alone(tokenizers, tiny_model, few_signatures, tmp_path):
    own = Own(tokenizers.characters)
    with few_signatures():
        text_to_text = TextToText(
            tiny_model(own.vocabulary_size), own, own, max_length=7, max_source_length=23
        )
        path = export_saved_model(text_to_text, tmp_path / "own")
    manifest = read_manifest(path)
    assert manifest["tokenizers"]["source"] == {
        "file": None,
        "kind": "Own",
        "vocabulary_size": own.vocabulary_size,
    }
    with pytest.raises(VerificationError, match=r"The source tokenizer \(Own\) is only in the graph"):
        load_tokenizer(path, manifest, "source")
