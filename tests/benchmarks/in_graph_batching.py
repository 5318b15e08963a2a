"""Concurrent single requests with and without batches that form inside the graph.

    python tests/benchmarks/in_graph_batching.py                # a small Transformer with random weights
    python tests/benchmarks/in_graph_batching.py --run RUN      # a trained run, asked with its test sources

Exports the model twice, with `InGraphBatching` and without, and runs three servers of our own, each a process
with one thread an op: the plain export, the plain export under the server's own batching with the export's
settings, and the export that batches in the graph. Each client asks for one text after the other, over REST.
All servers take turns, `--rounds` times; those that wait do nothing. Prints a Markdown table: requests a
second in the median round, their ratio to the plain export in the same run (above 1 is faster), and how long
a request took, over all rounds.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_attn.serving import connect

MODEL = "measured"
START_SECONDS = 300
PLAIN, SERVER, GRAPH = "plain", "the server's batching", "in-graph batching"


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server outlives this process
    with tempfile.TemporaryDirectory() as folder:
        texts = export(arguments, Path(folder))
        with contextlib.ExitStack() as stack:
            ports = {name: stack.enter_context(server(name, Path(folder))) for name in (PLAIN, SERVER, GRAPH)}
            check_answers(ports, texts)
            print("| clients | system | requests/s | ratio | p50 ms | p99 ms |")
            print("| --- | --- | --- | --- | --- | --- |")
            for clients in arguments.clients:
                print_rows(clients, measure(ports, texts, clients, arguments))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", help="run folder; a small Transformer with random weights if left out")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each system in each round")
    parser.add_argument("--max-length", type=int, default=20, help="tokens that random weights write")
    return parser.parse_args()


def export(arguments, folder):
    """Writes `plain/1` and `graph/1`, and returns the texts to ask for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_attn.export import InGraphBatching, export_saved_model

    text_to_text, texts = trained(arguments.run) if arguments.run else untrained(arguments.max_length)
    export_saved_model(text_to_text, folder / "plain")
    export_saved_model(text_to_text, folder / "graph", batching=InGraphBatching())
    return texts


def trained(path):
    from keras_attn.training.data.corpus import load_corpus
    from keras_attn.training.run.run_folder import RunFolder

    run = RunFolder(path)
    return run.text_to_text(), [source for source, _ in load_corpus(run.recipe()).test[:200]]


def untrained(max_length):
    """Two layers of width 128 that never end by themselves, and texts of 5 to 20 tokens."""
    import keras

    from keras_attn import TextToText
    from keras_attn.models import TransformerSeq2Seq
    from keras_attn.tokenizers import CharacterTokenizer

    keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)
    letters = "".join(map(chr, range(0xAC00, 0xAC00 + 4000)))
    tokenizer = CharacterTokenizer(letters)
    size = tokenizer.vocabulary_size
    model = TransformerSeq2Seq(
        size,
        size,
        num_encoder_layers=2,
        num_decoder_layers=2,
        embedding_dim=128,
        num_heads=4,
        hidden_dim=512,
        dropout=0.0,
    )
    texts = ["".join(rng.choice(list(letters), rng.integers(5, 21))) for _ in range(200)]
    return TextToText(model, tokenizer, tokenizer, max_length=max_length, max_source_length=32), texts


@contextlib.contextmanager
def server(name, folder):
    """The REST port of a server process that runs while the block does."""
    base_path = folder / ("graph" if name == GRAPH else "plain")
    port = free_port()
    flags = [f"--model_name={MODEL}", f"--model_base_path={base_path}", f"--rest_api_port={port}"]
    flags += [f"--port={free_port()}", "--rest_api_num_threads=64", "--tensorflow_intra_op_parallelism=1"]
    if name == SERVER:
        settings = base_path / "1" / "batching_params.pbtxt"
        flags += ["--enable_batching", f"--batching_parameters_file={settings}"]
    log_path = folder / f"{port}.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_attn.serving", *flags], stdout=log, stderr=log
        )
    try:
        with connect(f"http://localhost:{port}", MODEL) as client:
            wait_until_available(client, process, log_path)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_available(client, process, log_path):
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            client.wait_until_available(timeout_s=1)
            return
    raise SystemExit(f"The server did not start:\n{log_path.read_text(encoding='utf-8')}")


def free_port():
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def check_answers(ports, texts):
    """Stops where the systems do not answer alike."""
    answers = {}
    for name, port in ports.items():
        with connect(f"http://localhost:{port}", MODEL) as client:
            answers[name] = [list(client.predict({"text": [text]})["text"]) for text in texts[:8]]
    if any(answer != answers[PLAIN] for answer in answers.values()):
        raise SystemExit(f"The systems do not answer alike: {answers}")


def measure(ports, texts, clients, arguments):
    """By system: requests a second of each round, and seconds of each request."""
    rates, latencies = defaultdict(list), defaultdict(list)
    for _ in range(arguments.rounds):
        for name, port in ports.items():
            taken, seconds = asked(port, texts, clients, arguments.seconds)
            rates[name].append(len(taken) / seconds)
            latencies[name] += taken
    return {name: (rates[name], latencies[name]) for name in ports}


def asked(port, texts, clients, seconds):
    """Seconds of every request that some clients made side by side, and how long all that took."""
    taken, begins = [], []
    start = threading.Barrier(clients, action=lambda: begins.append(time.perf_counter()))

    def ask(number):
        with connect(f"http://localhost:{port}", MODEL, retries=0) as client:
            client.status()  # connects
            start.wait(START_SECONDS)
            while time.perf_counter() < begins[0] + seconds:
                begin = time.perf_counter()
                client.predict({"text": [texts[number % len(texts)]]})
                taken.append(time.perf_counter() - begin)
                number += clients

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))  # raises what one of them raised
    return taken, time.perf_counter() - begins[0]


def print_rows(clients, results):
    plain = statistics.median(results[PLAIN][0])
    for name, (rates, latencies) in results.items():
        rate = statistics.median(rates)
        middle, high = np.percentile(np.array(latencies) * 1000, [50, 99])
        print(
            f"| {clients} | {name} | {rate:.1f} | {rate / plain:.2f} | {middle:.1f} | {high:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
