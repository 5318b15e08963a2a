"""Time and peak memory of self-attention, forward and backward, ours beside Keras' own and PyTorch's.

    python tests/benchmarks/attention_memory.py --max-length 2048

One layer of width 256 with 4 heads and all projections, batch 1, causal, float32. Every cell is measured in a
process of its own: memory is the peak above what the process holds before its first run, time the median of
three runs after it. PyTorch's rows are absent where it is not installed. Linux only.
"""

import argparse
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

WIDTH, HEADS, WINDOW = 256, 4, 128
SYSTEMS = {
    "ours, blockwise": {"implementation": "blockwise"},
    f"ours, windowed ({WINDOW})": {"implementation": "windowed", "window": WINDOW},
    "ours, full": {"implementation": "full"},
    "keras MultiHeadAttention": None,
    "torch scaled_dot_product_attention": None,
}
MODES = ("forward", "backward")
REFERENCE = "keras MultiHeadAttention"


def main():
    arguments = parse_arguments()
    if arguments.measure:
        system, mode, length = arguments.measure
        print(json.dumps(measure(system, mode, int(length))))
        return
    systems = [name for name in SYSTEMS if "torch" not in name or importlib.util.find_spec("torch")]
    print("| length | system | " + " | ".join(f"{mode} ms | {mode} MiB | of Keras'" for mode in MODES) + " |")
    print("| --- | --- |" + " --- | --- | --- |" * len(MODES))
    length = arguments.min_length
    while length <= arguments.max_length:
        print_rows(length, {(name, mode): spawn(name, mode, length) for name in systems for mode in MODES})
        length *= 2


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--min-length", type=int, default=512)
    parser.add_argument("--max-length", type=int, default=8192)
    parser.add_argument("--measure", nargs=3, metavar=("SYSTEM", "MODE", "LENGTH"), help="one cell, as JSON")
    return parser.parse_args()


def spawn(system, mode, length):
    command = [sys.executable, __file__, "--measure", system, mode, str(length)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{system}, {mode}, {length}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def print_rows(length, cells):
    for system in dict.fromkeys(name for name, _ in cells):
        row = f"| {length} | {system} |"
        for mode in MODES:
            cell, reference = cells[system, mode], cells[REFERENCE, mode]
            ratios = [cell[unit] / max(reference[unit], 1e-9) for unit in ("ms", "mib")]
            row += f" {cell['ms']:.0f} | {cell['mib']:.0f} | {ratios[0]:.2f} time, {ratios[1]:.2f} memory |"
        print(row, flush=True)


def measure(system, mode, length):
    """Peak memory of the first run and median time of the next three."""
    make = torch_run if system.startswith("torch") else keras_run
    run = make(system, mode, length)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = memory("VmRSS")
    run()
    peak = memory("VmHWM")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return {"ms": statistics.median(seconds) * 1e3, "mib": (peak - before) / 1024}


def memory(name):
    """A figure of this process in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"{name}:\s+(\d+) kB", status).group(1))


def keras_run(system, mode, length):
    import keras
    import tensorflow as tf

    from keras_attn.layers import MultiHeadAttention

    if system == REFERENCE:
        layer = keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
    else:
        layer = MultiHeadAttention(HEADS, WIDTH // HEADS, **SYSTEMS[system])
    layer.build(*[(1, length, WIDTH)] * (3 if system == REFERENCE else 2))

    def forward(inputs):
        return layer(inputs, inputs, use_causal_mask=True)

    def backward(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(forward(inputs) ** 2)
        return tape.gradient(loss, [inputs, *(weight.value for weight in layer.trainable_weights)])

    function = tf.function({"forward": forward, "backward": backward}[mode])
    function(tf.zeros((1, 8, WIDTH)))  # what the first call of all sets up is not the attention's
    # Traced before the measurement, by shape alone: nothing runs yet.
    function = function.get_concrete_function(tf.TensorSpec((1, length, WIDTH)))
    inputs = tf.random.normal((1, length, WIDTH))
    return lambda: [x.numpy() for x in tf.nest.flatten(function(inputs))]


def torch_run(system, mode, length):
    import torch

    projections = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(4))
    inputs = torch.randn(1, length, WIDTH, requires_grad=True)

    def forward(inputs):
        heads = [p(inputs).unflatten(-1, (HEADS, -1)).transpose(1, 2) for p in projections[:3]]
        context = torch.nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        return projections[3](context.transpose(1, 2).flatten(-2))

    def run(inputs=inputs):
        if mode == "backward":
            (forward(inputs) ** 2).sum().backward()
        else:
            with torch.no_grad():
                forward(inputs)

    run(torch.randn(1, 8, WIDTH))  # as above
    return run


if __name__ == "__main__":
    main()
