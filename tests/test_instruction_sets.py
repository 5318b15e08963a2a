"""The command that plays lesser processors: which it can play, and what it says of the others."""

import pytest

from .instruction_sets import FOLDER, SENSITIVE, SETS, TOKENS, known_sets, main, processor_flags

SSE, AVX2 = {"sse4_1", "sse4_2", "fpu"}, {"avx2", "fma"}
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (SSE | AVX2 | AVX512, ["SSE41", "AVX2", "AVX512_CORE"]),
        (SSE | AVX2, ["SSE41", "AVX2"]),
        (SSE | AVX2 | {"avx512f"}, ["SSE41", "AVX2"]),
        (SSE | {"avx2"}, ["SSE41"]),
        (set(), []),
    ],
)
def test_sets_by_what_the_processor_has(flags, names):
    sets, lacking = known_sets(flags)
    assert [one.name for one in sets] == names
    assert [one.name for one in (*sets, *lacking)] == [one.name for one in SETS]


def test_what_is_missing_is_named(capsys):
    assert main(SSE | AVX2 | {"avx512f"}, lambda paths, environment: 0) == 0
    out = capsys.readouterr().out
    assert "passed     AVX2" in out
    assert "not tested AVX512_CORE: this processor lacks avx512bw, avx512dq, avx512vl" in out
    assert "AVX512_CORE (" not in out


def test_without_any_set_nothing_is_run(capsys):
    assert main(set(), lambda paths, environment: pytest.fail("nothing can be tested")) == 0
    assert "passed" not in capsys.readouterr().out


@pytest.mark.parametrize("failing", ["SSE41", "AVX2", None])
def test_one_failure_fails_all_and_stops_nothing(capsys, failing):
    """None: the tokens, which are compared by a process without a set of its own."""
    asked = []

    def run(paths, environment):
        asked.append(environment.get("ONEDNN_MAX_CPU_ISA"))
        return int(asked[-1] == failing)

    assert main(SSE | AVX2, run) == 1
    assert asked == ["SSE41", "AVX2", None]
    assert capsys.readouterr().out.count("FAILED") == 1


def test_both_libraries_are_told_and_other_flags_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    asked = []
    main(SSE, lambda paths, environment: asked.append(environment))
    assert asked[0]["XLA_FLAGS"] == "--xla_backend_optimization_level=0 --xla_cpu_max_isa=SSE4_2"
    assert asked[0]["ONEDNN_MAX_CPU_ISA"] == "SSE41"
    assert "xla_cpu_max_isa" not in asked[1]["XLA_FLAGS"]


def test_the_files_are_there():
    assert all((FOLDER / path).is_file() for path in (*SENSITIVE, TOKENS))


def test_flags_of_a_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu sse4_1 avx2\n\nprocessor : 1\nflags\t\t: fpu\n")
    assert processor_flags(path) == {"fpu", "sse4_1", "avx2"}
    assert processor_flags(tmp_path / "none") == set()
