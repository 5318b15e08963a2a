"""Time to decode a batch: ours as exported, beside other systems.

    python tests/benchmarks/decoding_speed.py --quick
    python tests/benchmarks/decoding_speed.py --python PEERS/bin/python > table.md

Transformers with random weights, the end token never taken, so that every system makes as many steps: sources
of 20 tokens, 30 new ones. CTranslate2 and ours have the same weights, and ours run as TensorFlow Serving runs
them: a Session on the SavedModel. With several threads, "in parts" means that every thread decodes a part of
the rows by itself: calls at once, each in the thread that makes it, or CTranslate2's `inter_threads`. Every
cell is measured in a process of its own, `--rounds` times, in turns with the other systems; it shows the
median and the minimum of all calls in milliseconds for the whole batch, and the minimum of the reference
(CTranslate2, float32) over its own: above 1 is faster. Systems that cannot be imported are named and left
out; `--python` is an environment that has those which cannot live beside ours.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).parent / "decoding_systems"
REFERENCE = "CTranslate2 float32"
# Name: (script, its argument, what the script needs).
SYSTEMS = {
    REFERENCE: ("ctranslate2_system.py", "float32", "ctranslate2"),
    "CTranslate2 bfloat16": ("ctranslate2_system.py", "bfloat16", "ctranslate2"),
    "CTranslate2 int8": ("ctranslate2_system.py", "int8", "ctranslate2"),
    "CTranslate2 float32, in parts": ("ctranslate2_system.py", "float32", "ctranslate2"),
    "ours, packed float32": ("saved_model_system.py", "packed-float32", "tensorflow"),
    "ours, packed float32, in parts": ("saved_model_system.py", "packed-float32", "tensorflow"),
    "ours, packed bfloat16": ("saved_model_system.py", "packed-bfloat16", "tensorflow"),
    "ours, the model itself": ("saved_model_system.py", "model", "tensorflow"),
    "ours, no cache": ("saved_model_system.py", "no_cache", "tensorflow"),
    "Hugging Face generate": ("hugging_face_system.py", "float32", "transformers"),
    "KerasHub": ("keras_hub_system.py", "float32", "keras_hub"),
}
IN_PARTS = ", in parts"  # a part of the rows for every thread, instead of all threads for all rows
SLOW = ("ours, no cache",)  # up to this many rows at once
SLOW_ROWS = 32


def main():
    arguments = parse_arguments()
    pythons = find_pythons(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for beam in arguments.beams:
                prepare(pythons, folder, size, beam)
                for threads, batch in product(arguments.threads, arguments.batches):
                    print_table(arguments, pythons, folder, size, beam, threads, batch)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["small", "base"], choices=["small", "base"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3, help="processes for every cell")
    parser.add_argument("--calls", type=int, default=5, help="timed calls in a process, after two others")
    parser.add_argument("--python", help="interpreter that has the systems which are not installed here")
    parser.add_argument("--quick", action="store_true", help="small, batches 1 and 8, one thread, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.batches, arguments.threads = ["small"], [1, 8], [1]
        arguments.rounds = 1
    return arguments


def find_pythons(arguments):
    """The interpreter of every system that is there."""
    pythons = {}
    for name in arguments.systems:
        module = SYSTEMS[name][2]
        choices = [path for path in (sys.executable, arguments.python) if path]
        # What writes CTranslate2's models reads ours.
        choices = choices[:1] if module == "ctranslate2" else choices
        pythons[name] = next((path for path in choices if can_import(path, module)), None)
        if pythons[name] is None:
            print(f"Left out: {name}; {module} cannot be imported by {' or '.join(choices)}.\n")
    return {name: path for name, path in pythons.items() if path}


def can_import(python, module):
    script = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", script], check=False, capture_output=True).returncode == 0


def prepare(pythons, folder, size, beam):
    """Writes the models that several processes load."""
    scripts = {SYSTEMS[name][0]: path for name, path in pythons.items()}
    if not {"ctranslate2_system.py", "saved_model_system.py"} & set(scripts):
        return
    kinds = {SYSTEMS[name][1] for name in pythons if SYSTEMS[name][0] == "saved_model_system.py"}
    command = [sys.executable, str(FOLDER / "write_models.py"), folder, size, str(beam), *sorted(kinds)]
    if "ctranslate2_system.py" in scripts:
        command.append("ctranslate2")
    done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


def print_table(arguments, pythons, folder, size, beam, threads, batch):
    times = {name: [] for name in pythons if makes_sense(name, threads, batch, beam)}
    errors = {}
    for _ in range(arguments.rounds):
        for name in times:
            if name in errors:
                continue
            seconds, error = measure(pythons[name], folder, name, size, beam, threads, batch, arguments.calls)
            times[name] += seconds
            if error:
                errors[name] = error
    best = min(times.get(REFERENCE) or [float("nan")])
    print(f"**{size}, beam {beam}, batch {batch}, {threads} thread{'s' * (threads > 1)}**\n")
    print("| system | median ms | minimum ms | CTranslate2 float32 / this |\n| --- | --- | --- | --- |")
    for name, seconds in times.items():
        if seconds:
            median, minimum = 1e3 * statistics.median(seconds), 1e3 * min(seconds)
            print(f"| {name} | {median:.1f} | {minimum:.1f} | {best / min(seconds):.2f} |")
    for name, error in errors.items():
        print(f"| {name} | failed: {error} | | |")
    print(flush=True)


def makes_sense(name, threads, batch, beam):
    if name.endswith(IN_PARTS):
        return 1 < threads <= batch  # a row for every thread at least
    return name not in SLOW or batch * beam <= SLOW_ROWS


def measure(python, folder, name, size, beam, threads, batch, calls):
    """Seconds of every timed call, and what went wrong."""
    script, kind, _ = SYSTEMS[name]
    numbers = map(str, (beam, threads, batch, calls, threads if name.endswith(IN_PARTS) else 1))
    done = subprocess.run(
        [python, str(FOLDER / script), folder, kind, size, *numbers],
        env=environment(threads),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return [], (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    return json.loads(done.stdout.splitlines()[-1]), None


def environment(threads=1):
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": str(threads)}


if __name__ == "__main__":
    main()
