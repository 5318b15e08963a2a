"""Runs the command line in this process and tells what it printed."""

import signal
from typing import NamedTuple

import pytest

from keras_attn.cli.main import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def keras_attn(capsys):
    """Calls `keras-attn` with arguments and returns its exit code and its output."""

    def run(*arguments):
        handler = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as exit_info:
                main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Ran(exit_info.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A run folder that one epoch on a handful of pairs made, through the command line."""
    folder = tmp_path_factory.mktemp("tiny")
    words = ["집 house", "물 water", "책 book", "산 mountain", "길 road", "말 horse", "눈 snow"]
    lines = [
        f"{a.split()[1]} {b.split()[1]}\t{a.split()[0]} {b.split()[0]}\tattribution"
        for a in words
        for b in words
    ]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "recipe.toml").write_text(
        f"""
        [data]
        folder = "{folder}"
        train = {{ path = "pairs.tsv" }}
        validation_size = 5
        test_size = 5
        [tokenizer]
        kind = "characters"
        vocabulary_size = 50
        [model]
        embedding_dim = 17
        units = 11
        attention_units = 5
        [training]
        epochs = 1
        batch_size = 13
        [decoding]
        max_length = 7
        max_source_length = 41
        """,
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as exit_info:
        main(["train", str(folder / "recipe.toml"), "--run", str(folder / "run")])
    assert exit_info.value.code == 0
    return folder / "run"
