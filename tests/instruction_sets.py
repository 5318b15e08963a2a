"""Runs the numerically sensitive tests as lesser processors would: `make test-instruction-sets`.

oneDNN and XLA choose their kernels by the processor's instruction set, and kernels add up in different
orders. Both can be told to use no more than a lesser set. A set that this processor lacks is named as not
tested. `make test` runs the same tests with the processor's own set.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
# Sums and masks of attention, whole, step by step and in blocks, compiled and not; losses; decoding loops.
SENSITIVE = (
    "ops/test_scores.py",
    "ops/test_masks.py",
    "ops/test_monotonic.py",
    "ops/test_blockwise.py",
    "losses/test_sequence_crossentropy.py",
    "layers/attention/test_multi_head_attention_steps.py",
    "layers/attention/test_step_attention.py",
    "layers/recurrent/test_steps_compiled.py",
    "decoding/test_loop.py",
    "decoding/test_scoring.py",
)
# TensorFlow asks the processor, and not oneDNN, whether bfloat16 can be multiplied, and crashes where oneDNN
# is told to use a lesser set. A processor that has no more itself does not come to this.
LEFT_OUT = ("bfloat16", "half", "whose_cache_grows", "weighted_sum_by_hand", "config_round_trip")
# Exports once and decodes under every set; not collected by itself.
TOKENS = "export/tokens_by_instruction_set.py"


class InstructionSet(NamedTuple):
    """A set that kernels can be confined to.

    Attributes:
        name: as oneDNN calls it.
        xla_name: as XLA calls it.
        needed: what a processor calls the instructions that the kernels use.
    """

    name: str
    xla_name: str
    needed: tuple

    def environment(self, inherited):
        """The variables of a process that is confined to it, beside those of `inherited`."""
        flags = f"{inherited.get('XLA_FLAGS', '')} --xla_cpu_max_isa={self.xla_name}".strip()
        return {**inherited, "ONEDNN_MAX_CPU_ISA": self.name, "XLA_FLAGS": flags}


SETS = (
    InstructionSet("SSE41", "SSE4_2", ("sse4_1", "sse4_2")),
    InstructionSet("AVX2", "AVX2", ("avx2", "fma")),
    InstructionSet("AVX512_CORE", "AVX512", ("avx512f", "avx512bw", "avx512dq", "avx512vl")),
)
# As tests/conftest.py sets them where there are none.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def processor_flags(path="/proc/cpuinfo"):
    """What the processor has, a set of names; an empty one where the system does not say it in this way."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def known_sets(flags):
    """The sets of a processor, from the least, and the names of what it lacks of each of the others.

    Args:
        flags: of `processor_flags`.

    Returns:
        A list of `InstructionSet`s, and a dictionary of `InstructionSet` to missing names.
    """
    missing = {one: [name for name in one.needed if name not in flags] for one in SETS}
    return [one for one in SETS if not missing[one]], {one: names for one, names in missing.items() if names}


def main(flags=None, run=None):
    """Runs everything, prints a line each, and returns the exit code.

    Args:
        flags: of the processor; its own when None.
        run: `run(paths, environment)`, which returns an exit code; pytest in a process when None.
    """
    sets, lacking = known_sets(processor_flags() if flags is None else flags)
    run, failed = run or _run_pytest, []
    inherited = {"XLA_FLAGS": XLA_FLAGS, **os.environ}
    jobs = [(one.name, SENSITIVE, one.environment(inherited)) for one in sets]
    jobs += [("the same tokens under all of them", (TOKENS,), inherited)] if sets else []
    lines = []
    for name, paths, environment in jobs:
        start = time.monotonic()
        code = run([str(FOLDER / path) for path in paths], environment)
        failed += [name] if code else []
        lines.append(f"  {'FAILED' if code else 'passed':10} {name} ({time.monotonic() - start:.0f} s)")
    lines += [
        f"  not tested {one.name}: this processor lacks {', '.join(names)}" for one, names in lacking.items()
    ]
    print("\n".join(["", "Instruction sets", *lines]))
    return 1 if failed else 0


def _run_pytest(paths, environment):
    """Runs pytest as `make test` does; returns its exit code."""
    chosen = " and ".join(f"not {name}" for name in LEFT_OUT)
    options = ["-q", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadfile", "-k", chosen]
    command = [sys.executable, "-m", "pytest", *options, *paths]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
