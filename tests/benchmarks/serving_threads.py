"""Which thread pools suit a decoding model: the server's settings against each other.

    python tests/benchmarks/serving_threads.py

One server process for each setting of `--tensorflow_intra_op_parallelism` (threads one op may use) and
`--tensorflow_inter_op_parallelism` (ops that may run at once; -1: each request computes in its own thread),
all with the small Transformer of `serving_load.py`. The servers take turns, `--rounds` times; those that
wait do nothing. Prints a Markdown table: requests a second in the median round, their ratio to TensorFlow's
own default (both as many as there are cores) in the same run, and how long a request took, over all rounds.
The server's own default stands in `serving/inference/servable.py`.
"""

import argparse
import contextlib
import os
import statistics
from collections import defaultdict

import numpy as np
from serving_processes import DECODER, Load, models, server

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
BASE = f"{CORES}/{CORES}"


def main():
    arguments = parse_arguments()
    with models(arguments.max_length) as (folder, requests), contextlib.ExitStack() as stack:
        settings = list(dict.fromkeys([BASE, *arguments.settings]))
        processes = {name: stack.enter_context(server(folder, flags(name))) for name in settings}
        print("| clients | an op's threads / ops at once | requests/s | ratio | p50 ms | p99 ms |")
        print("| --- | --- | --- | --- | --- | --- |")
        for clients in arguments.clients:
            print_rows(clients, measure(processes, requests[DECODER], clients, arguments))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several = sorted({"default", BASE, "1/1", f"1/{CORES}", f"1/{4 * CORES}", f"{CORES}/1", "1/-1"})
    parser.add_argument("--settings", nargs="+", default=several, help="intra/inter, or default: no flags")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each setting in each round")
    parser.add_argument("--protocol", choices=("REST", "gRPC"), default="REST")
    parser.add_argument("--max-length", type=int, default=20, help="tokens that the decoder writes")
    return parser.parse_args()


def flags(setting):
    if setting == "default":
        return []
    intra, inter = setting.split("/")
    return [f"--tensorflow_intra_op_parallelism={intra}", f"--tensorflow_inter_op_parallelism={inter}"]


def measure(processes, requests, clients, arguments):
    """By setting: requests a second of each round, and milliseconds of each request."""
    rates, latencies = defaultdict(list), defaultdict(list)
    for number in range(arguments.rounds + 1):
        for name, process in processes.items():
            with Load(process, DECODER, arguments.protocol, requests, clients) as load:
                milliseconds, refused, seconds = load.run(arguments.seconds if number else 1.0)
            if refused:
                raise SystemExit(f"The server with {name} refused {refused} requests.")
            if number:  # the first round warms up
                rates[name].append(len(milliseconds) / seconds)
                latencies[name].append(milliseconds)
    return {name: (statistics.median(rates[name]), np.concatenate(latencies[name])) for name in processes}


def print_rows(clients, results):
    for name, (rate, milliseconds) in results.items():
        middle, high = np.percentile(milliseconds, [50, 99])
        ratio = rate / results[BASE][0]
        print(
            f"| {clients} | {name} | {rate:.1f} | {ratio:.2f} | {middle:.1f} | {high:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
