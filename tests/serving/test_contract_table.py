"""The README's table of the contract is true as far as names go: every test in it exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
NAMED = sorted(set(re.findall(r"`([\w/]*test_\w+\.py)::(test_\w+)`", README.read_text(encoding="utf-8"))))
ROW = re.compile(r"^\| .+ \| (yes|more|no) \|(.*)\|$", re.MULTILINE)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_exists(file, test):
    path = Path(__file__).parent / file
    assert path.exists(), f"README.md names {file}"
    assert re.search(rf"^(async )?def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_what_is_done_is_held():
    rows = ROW.findall(README.read_text(encoding="utf-8"))
    assert len(rows) > 31
    for done, tests in rows:
        assert ("::" in tests) == (done != "no"), tests


@pytest.mark.parametrize(
    ("item", "file"),
    [
        ("`POST /stream/v1/models/NAME`", "test_streaming.py"),
        ("`ProfilerService`", "grpc/test_profiler_service.py"),
        ("`:tensorflow:core:`", "models/test_session.py"),
        ("reflection", "grpc/test_server.py"),
    ],
)
def test_what_lies_beside_the_models_has_a_row(item, file):
    rows = [row for row in ROW.finditer(README.read_text(encoding="utf-8")) if item in row[0].split(" | ")[0]]
    assert any(f"`{file}::" in row[2] for row in rows if row[1] != "no"), rows
