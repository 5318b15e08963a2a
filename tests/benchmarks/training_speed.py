"""Target tokens per second of training a Transformer: ours with `model.fit`, beside other systems.

    python tests/benchmarks/training_speed.py --quick
    python tests/benchmarks/training_speed.py --python PEERS/bin/python > table.md

The models have the same sizes, dropout, loss (label smoothing 0.1), optimiser (Adam, clipped by the global
norm) and batch: random ids, of each row a quarter padded on the average. Ours are compiled as `keras-attn
train` does; no system counts a metric. Every cell is measured in a process of its own, `--rounds` times, in
turns with the other systems. Shown are tokens per second by the median step, milliseconds of the median and
of the fastest step, and how many times as many tokens as the reference (PyTorch, eager, of the same dtype) by
the fastest one: above 1 is faster. Systems that cannot be imported are named and left out; `--python` is an
environment that has those which cannot live beside ours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "training_systems"
REFERENCE = "PyTorch"
# Name: (script, its argument, what the script needs).
SYSTEMS = {
    REFERENCE: ("pytorch_system.py", "eager", "torch"),
    "PyTorch, compiled": ("pytorch_system.py", "compiled", "torch"),
    "ours": ("our_system.py", "recipe", "tensorflow"),
    "ours, XLA": ("our_system.py", "xla", "tensorflow"),
    "KerasHub": ("keras_hub_system.py", "graph", "keras_hub"),
    "KerasHub, XLA": ("keras_hub_system.py", "xla", "keras_hub"),
}
SLOW = ("ours, XLA", "KerasHub, XLA")  # minutes to compile: only where named


def main():
    arguments = parse_arguments()
    pythons = find_pythons(arguments)
    for size in arguments.sizes:
        for shape in arguments.shapes:
            for dtype in arguments.dtypes:
                print_table(arguments, pythons, size, dtype, [int(x) for x in shape.split("x")])


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    quick = [name for name in SYSTEMS if name not in SLOW]
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small"], choices=["tiny", "small"])
    parser.add_argument("--shapes", nargs="+", default=["256x16", "128x32"], help="rows x tokens of a batch")
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"]
    )
    parser.add_argument("--systems", nargs="+", default=quick, choices=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="processes for every cell")
    parser.add_argument("--repeats", type=int, default=3, help="timed in a process, after one that is not")
    parser.add_argument("--steps", type=int, default=5, help="of each of them")
    parser.add_argument("--python", help="interpreter that has the systems which are not installed here")
    parser.add_argument("--quick", action="store_true", help="tiny, one small batch, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.shapes = ["tiny"], ["32x16"]
        arguments.rounds, arguments.repeats, arguments.steps = 1, 2, 2
    return arguments


def find_pythons(arguments):
    """The interpreter of every system that is there."""
    pythons = {}
    for name in arguments.systems:
        module = SYSTEMS[name][2]
        choices = [path for path in (sys.executable, arguments.python) if path]
        pythons[name] = next((path for path in choices if can_import(path, module)), None)
        if pythons[name] is None:
            print(f"Left out: {name}; {module} cannot be imported.\n")
    return {name: path for name, path in pythons.items() if path}


def can_import(python, module):
    script = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", script], check=False, capture_output=True).returncode == 0


def print_table(arguments, pythons, size, dtype, shape):
    times, errors = {name: [] for name in pythons}, {}
    for _ in range(arguments.rounds):
        for name in times:
            if name not in errors:
                seconds, error = measure(arguments, pythons[name], name, size, dtype, shape)
                times[name] += seconds
                if error:
                    errors[name] = error
    tokens = target_tokens(shape)
    best = min(times.get(REFERENCE) or [float("nan")])
    rows, length = shape
    print(
        f"**{size}, {dtype}, {rows} x {length} ({tokens:,} target tokens), {arguments.threads} thread(s)**\n"
    )
    print(
        f"| system | tokens / s | median ms | minimum ms | times {REFERENCE} |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for name, seconds in times.items():
        if seconds:
            median, fastest = statistics.median(seconds), min(seconds)
            figures = (
                f"{tokens / median:,.0f} | {1e3 * median:.0f} | {1e3 * fastest:.0f} | {best / fastest:.2f}"
            )
            print(f"| {name} | {figures} |")
    for name, error in errors.items():
        print(f"| {name} | failed: {error} | | | |")
    print(flush=True)


def target_tokens(shape):
    """How many labels of the batch are no pads."""
    sys.path.insert(0, str(FOLDER))
    from timing import Cell, batch

    return int((batch(Cell("", "", "", *shape, 0, 0, 0))[2] != 0).sum())


def measure(arguments, python, name, size, dtype, shape):
    """Seconds of a step, for every repeat, and what went wrong."""
    script, kind, _ = SYSTEMS[name]
    numbers = map(str, (*shape, arguments.threads, arguments.repeats, arguments.steps))
    threads = {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(
        [python, str(FOLDER / script), kind, size, dtype, *numbers],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"} | threads,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return [], (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    return json.loads(done.stdout.splitlines()[-1]), None


if __name__ == "__main__":
    main()
