"""The server under load: latency, throughput and memory.

    python tests/benchmarks/serving_load.py                 # the table
    python tests/benchmarks/serving_load.py --soak 60       # an hour of everything at once: memory over time

One server process of ours holds half_plus_two and a small Transformer (d = 128, 2+2 layers, random weights,
20 new tokens for one text a request). The clients are threads of another process that imports no TensorFlow;
each waits for its answer before it asks again. Prints a Markdown table: requests a second, milliseconds of
the median and of the slowest hundredth, refusals, and the server's resident memory before and after. REST
and gRPC stand side by side in one run; `ratio` is to the first row of the same model.

`--soak` asks both models over both protocols at the same time and prints a line a minute.
"""

import argparse
import contextlib
import time

import numpy as np
from serving_processes import DECODER, HALF, Load, models, server

PROTOCOLS = ("REST", "gRPC")


def main():
    arguments = parse_arguments()
    with models(arguments.max_length) as (folder, requests), server(folder, arguments.flags) as process:
        warm_up(process, requests)
        if arguments.soak:
            soak(process, requests, arguments)
        else:
            table(process, requests, arguments)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row")
    parser.add_argument("--max-length", type=int, default=20, help="tokens that the decoder writes")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="memory over time instead of the table")
    parser.add_argument("--soak-clients", type=int, default=4, help="of each model over each protocol")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two lines of a soak")
    parser.add_argument("flags", nargs="*", help="further flags of the server, after --")
    return parser.parse_args()


def warm_up(process, requests):
    """What only the first requests cost, memory too, is no part of what is measured."""
    for model in (HALF, DECODER):
        for protocol in PROTOCOLS:
            with Load(process, model, protocol, requests[model], 4) as load:
                load.run(1.0)


def table(process, requests, arguments):
    print("| model | clients | protocol | requests/s | ratio | p50 ms | p99 ms | refused | RSS MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for model in (HALF, DECODER):
        first = None
        for clients in arguments.clients:
            for protocol in PROTOCOLS:
                before = process.memory_mb()
                with Load(process, model, protocol, requests[model], clients) as load:
                    milliseconds, refused, seconds = load.run(arguments.seconds)
                rate = len(milliseconds) / seconds
                first = first or rate
                middle, high = np.percentile(milliseconds, [50, 99])
                print(
                    f"| {model} | {clients} | {protocol} | {rate:,.1f} | {rate / first:.2f} | {middle:.2f}"
                    f" | {high:.2f} | {refused} | {before:.0f}, {process.memory_mb():.0f} |",
                    flush=True,
                )


def soak(process, requests, arguments):
    print("| minute | requests | refused | decoder p99 ms | RSS MB |\n| --- | --- | --- | --- | --- |")
    print(f"| 0.0 | 0 | 0 | | {process.memory_mb():.0f} |", flush=True)
    begin, asked = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        loads = {
            (model, protocol): stack.enter_context(
                Load(process, model, protocol, requests[model], arguments.soak_clients)
            )
            for model in (HALF, DECODER)
            for protocol in PROTOCOLS
        }
        while (minutes := (time.monotonic() - begin) / 60) < arguments.soak:
            for load in loads.values():
                load.start(min(arguments.interval, (arguments.soak - minutes) * 60))
            results = {key: load.finish() for key, load in loads.items()}
            asked += sum(len(milliseconds) for milliseconds, _, _ in results.values())
            refused = sum(refused for _, refused, _ in results.values())
            decoder = np.concatenate([results[DECODER, protocol][0] for protocol in PROTOCOLS])
            print(
                f"| {(time.monotonic() - begin) / 60:.1f} | {asked} | {refused}"
                f" | {np.percentile(decoder, 99):.1f} | {process.memory_mb():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
