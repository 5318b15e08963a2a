"""`keras-attn evaluate` with options, and `keras-attn compare` of what it wrote."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    """Two copies of one run: one evaluated greedily, one with a beam and short outputs."""
    from keras_attn.cli.main import main

    paths = []
    for name, options in (
        ("greedy", []),
        ("beam", ["--beam-size", "3", "--length-penalty", "0", "--max-length", "2"]),
    ):
        path = tmp_path_factory.mktemp("runs") / name
        shutil.copytree(tiny_run, path)
        with pytest.raises(SystemExit) as exit_info:
            main(["evaluate", str(path), "--checkpoint", "last", *options])
        assert exit_info.value.code == 0
        paths.append(path)
    return paths


def test_scores_say_how_they_were_made(evaluated):
    greedy, beam = (json.loads((path / "scores.json").read_text())["test"] for path in evaluated)
    assert greedy["checkpoint"] == beam["checkpoint"] == "last"
    assert (beam["beam_size"], beam["length_penalty"], beam["max_length"]) == (3, 0, 2)
    assert "beam_size" not in greedy
    assert sum(row["pairs"] for row in greedy["by_length"]) == greedy["pairs"] == 5
    outputs = (evaluated[1] / "translations.test.tsv").read_text(encoding="utf-8").splitlines()
    assert all(len(row.split("\t")[2]) <= 2 for row in outputs)  # characters: one token each


def test_evaluate_prints_a_table_by_length(keras_attn, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "run")
    ran = keras_attn("evaluate", tmp_path / "run")
    assert ran.code == 0
    assert "source length  pairs   BLEU   chrF exact match" in ran.out
    assert "1 to 10      5" in ran.out


def test_compare(keras_attn, evaluated):
    ran = keras_attn("compare", *evaluated, "--samples", 23)
    assert ran.code == 0
    assert "bs:23|seed:12345" in ran.out
    assert "difference" in ran.out
    same = keras_attn("compare", evaluated[0], evaluated[0], "--samples", 23)
    assert same.out.count("difference +0.00, p = 1.0000") == 2
    assert same.out.endswith("No difference is significant (p < 0.05).\n")


def test_compare_before_evaluate(keras_attn, evaluated):
    ran = keras_attn("compare", *evaluated, "--on", "validation")
    assert ran.code == 1
    assert "Run keras-attn evaluate --on validation first" in ran.err
