"""What one context vector forgets: reversal by length, without attention and with it.

    python tests/benchmarks/length_generalisation.py --svg tests/benchmarks/length.svg

Two GRU models of the same width learn to reverse random strings of 1 to `--longest` digits, on the same
batches for the same number of steps; they differ in the decoder's context alone: the encoder's last state, or
Bahdanau's attention. Prints the share of new strings that come out right by length, also beyond those trained
on, as a Markdown table, and draws it as SVG.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np

from keras_attn.decoding import decode
from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import RecurrentSeq2Seq

START, END, FIRST_DIGIT, V = 1, 2, 4, 14
MODELS = {"fixed context": None, "attention": "bahdanau"}


def main():
    arguments = parse_arguments()
    lengths = range(2, arguments.beyond + 1, 2)
    results = {name: measure(name, arguments, lengths) for name in MODELS}
    print(table(lengths, results))
    if arguments.svg:
        shares = {name: [exact for exact, _ in rows] for name, rows in results.items()}
        Path(arguments.svg).write_text(picture(lengths, shares, arguments.longest), encoding="utf-8")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--longest", type=int, default=16, help="digits of the longest string in training")
    parser.add_argument("--beyond", type=int, default=24, help="digits of the longest string in the test")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--strings", type=int, default=256, help="strings of each length in the test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--svg", help="file to draw into")
    return parser.parse_args()


def measure(name, arguments, lengths):
    """(share of strings right, share of tokens right) by length."""
    keras.utils.set_random_seed(arguments.seed)
    model = RecurrentSeq2Seq(
        V, V, embedding_dim=32, units=arguments.units, attention_units=arguments.units, attention=MODELS[name]
    )
    began = time.monotonic()
    train(model, arguments)
    print(f"{name}: {model.count_params():,} parameters, {time.monotonic() - began:.0f} s")
    rng = np.random.default_rng(arguments.seed + 1)
    return [score(model, rng.integers(FIRST_DIGIT, V, (arguments.strings, length))) for length in lengths]


def train(model, arguments):
    steps, rng = arguments.steps, np.random.default_rng(arguments.seed)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - steps // 10, warmup_target=0.005, warmup_steps=steps // 10
    )
    adam = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    model.compile(adam, SequenceCrossentropy(), jit_compile=False)
    count = steps * arguments.batch_size  # every string is seen once
    lengths = rng.integers(1, arguments.longest + 1, count)
    digits = rng.integers(FIRST_DIGIT, V, (count, arguments.longest))
    inputs, labels = reversal(digits, lengths)
    model.fit(inputs, labels, batch_size=arguments.batch_size, verbose=0)


def reversal(digits, lengths):
    """Rows of digits `[N, L]`, cut to their lengths, as teacher-forcing inputs and labels."""
    count, longest = digits.shape
    place, lengths = np.arange(longest + 1), np.asarray(lengths)[:, None]
    padded = np.pad(digits, ((0, 0), (0, 1)))
    source = np.where(place < lengths, padded, np.where(place == lengths, END, 0))
    backwards = np.take_along_axis(padded, np.maximum(lengths - 1 - place, 0), axis=1)
    labels = np.where(place < lengths, backwards, np.where(place == lengths, END, 0))
    target = np.concatenate([np.full((count, 1), START), labels[:, :-1]], axis=1)
    target = np.where(place <= lengths, target, 0)
    return {"source": source.astype("int32"), "target": target.astype("int32")}, labels.astype("int32")


def score(model, digits):
    count, length = digits.shape
    inputs, labels = reversal(digits, np.full(count, length))
    tokens = (
        decode(model, inputs["source"], start_id=START, end_id=END, max_length=length + 1)
        .tokens[:, 0]
        .numpy()
    )
    tokens = np.pad(tokens, ((0, 0), (0, length + 1 - tokens.shape[1])))
    right = tokens == labels
    return right.all(axis=1).mean(), right.mean()


def table(lengths, results):
    """Markdown: a row a length; strings that come out right, and tokens."""
    lines = ["| digits | " + " | ".join(f"{name}: strings | tokens" for name in results) + " |"]
    lines.append("| --- |" + " --- |" * (2 * len(results)))
    for row, length in enumerate(lengths):
        cells = [f"{100 * share:.1f} %" for rows in results.values() for share in rows[row]]
        lines.append(f"| {length} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# A reader may have a light or a dark page; the first line is dashed, so that colour is not needed.
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .axis { stroke: #8c959f; fill: none; } .grid { stroke: #8c959f; stroke-opacity: .25; }
  .line { fill: none; stroke-width: 2.5; }
  .a { stroke: #bc4c00; stroke-dasharray: 6 4; } .b { stroke: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .a { stroke: #f0883e; } .b { stroke: #58a6ff; }
  }
"""
LEFT, TOP, WIDTH, HEIGHT = 56, 40, 520, 240


def picture(lengths, shares, longest):
    """An SVG of the shares of strings right, a line a model; a vertical line where training ends."""

    def x(length):
        return LEFT + WIDTH * (length - lengths[0]) / (lengths[-1] - lengths[0])

    def y(share):
        return TOP + HEIGHT * (1 - share)

    parts = [f'<text x="{LEFT}" y="20">Reversed without a mistake, by number of digits</text>']
    for percent in (0, 25, 50, 75, 100):
        height = y(percent / 100)
        parts.append(f'<path class="grid" d="M{LEFT} {height}h{WIDTH}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{height + 4}" text-anchor="end">{percent} %</text>')
    for length in lengths:
        parts.append(
            f'<text x="{x(length):.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{length}</text>'
        )
    parts.append(f'<path class="axis" stroke-dasharray="2 3" d="M{x(longest):.1f} {TOP}v{HEIGHT}"/>')
    parts.append(f'<text x="{x(longest):.1f}" y="{TOP - 6}">longer than in training →</text>')
    for index, (kind, (name, values)) in enumerate(zip("ab", shares.items(), strict=True)):
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in zip(lengths, values, strict=True))
        parts.append(f'<polyline class="line {kind}" points="{points}"/>')
        corner = LEFT + 12 + 150 * index
        parts.append(f'<path class="line {kind}" d="M{corner} {TOP + HEIGHT + 42}h28"/>')
        parts.append(f'<text x="{corner + 36}" y="{TOP + HEIGHT + 46}">{name}</text>')
    size = f"{LEFT + WIDTH + 24} {TOP + HEIGHT + 60}"
    lines = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">\n'
        f"<title>Reversal by length, without attention and with it</title>\n<style>{STYLE}</style>\n"
        f"  {lines}\n</svg>\n"
    )


if __name__ == "__main__":
    main()
