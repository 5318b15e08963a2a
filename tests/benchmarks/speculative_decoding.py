"""Speculative against greedy decoding: time, and tokens a pass of the target.

    keras-attn train target.toml --run runs/target
    keras-attn train draft.toml --run runs/draft      # another [model]; the same [data] and [tokenizer]
    python tests/benchmarks/speculative_decoding.py --target runs/target --draft runs/draft

Translates the first sentences of the recipe's test part with one thread, as TensorFlow Serving would: a
Session on an exported SavedModel, without XLA. Prints a Markdown table. Every batch goes through all systems
in turn, `--repeats` times, and the fastest counts, in processor time (`cpu`), which other work on the machine
disturbs less than the clock, and by the clock (`wall`). A ratio is the time of greedy decoding with the
target over that of the row: above 1 is faster. "Packed" is greedy decoding of the target as
`PackedTransformer` makes it ready for export: whoever decodes for speed alone compares with that.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_attn.decoding import Greedy, decode, speculative_greedy
from keras_attn.export import check_ops
from keras_attn.export.packed.transformer import PackedTransformer
from keras_attn.serving.models.session import disable_xla
from keras_attn.tokenizers import special_ids
from keras_attn.training.data.corpus import load_corpus
from keras_attn.training.data.encoded_pairs import encode_pairs
from keras_attn.training.run.run_folder import RunFolder

SPEC = tf.TensorSpec([None, None], tf.int32, "source")
GREEDY = "greedy, target"


def main():
    arguments = parse_arguments()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    runs = [RunFolder(path) for path in (arguments.target, arguments.draft)]
    check_tokenizers(*runs)
    target, draft = (run.text_to_text().model for run in runs)
    print(f"target {target.count_params():,} parameters, draft {draft.count_params():,} parameters\n")
    sources = source_ids(runs[0], arguments.sentences)
    with tempfile.TemporaryDirectory() as folder:
        export(target, draft, arguments, folder)
        print("| batch | system | cpu s | cpu ratio | wall ratio | tokens a pass | sentences that differ |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for size in arguments.batches:
            print_rows(measure(folder, sources, size, arguments.repeats), size)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", required=True, help="run folder of the model that decides")
    parser.add_argument("--draft", required=True, help="run folder of the model that guesses")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--proposals", nargs="+", type=int, default=[2, 4, 8], help="draft tokens a round")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=80)
    return parser.parse_args()


def check_tokenizers(*runs):
    """Stops where the two runs do not speak of the same ids."""
    files = [sorted((run.path / "tokenizer").iterdir()) for run in runs]
    contents = [[path.read_bytes() for path in paths] for paths in files]
    if contents[0] != contents[1]:
        raise SystemExit(
            "The runs have other tokenizers. Train both on the same data with the same settings."
        )


def source_ids(run, count):
    """Sources of the test part without their end tokens, a list of arrays of ids."""
    recipe, tokenizers = run.recipe(), run.tokenizers()
    pairs = load_corpus(recipe).test[:count]
    longest = recipe.decoding.max_source_length
    return encode_pairs(pairs, *tokenizers, longest, longest).sources


def export(target, draft, arguments, folder):
    """A SavedModel with a signature for every system."""
    start, end, limit = special_ids.START, special_ids.END, arguments.max_length

    def greedily(model):
        return lambda source: (
            decode(model, source, start_id=start, end_id=end, max_length=limit, strategy=Greedy()),
            tf.zeros([0], tf.int32),
        )

    def speculatively(count):
        return lambda source: speculative_greedy(
            target,
            draft,
            source,
            start_id=start,
            end_id=end,
            max_length=limit,
            num_draft_tokens=count,
            return_rounds=True,
        )

    systems = {GREEDY: greedily(target), "greedy, draft": greedily(draft)}
    systems["greedy, target packed"] = greedily(PackedTransformer(target))
    systems |= {f"speculative, n = {count}": speculatively(count) for count in arguments.proposals}
    module = tf.Module()
    module.weights = [weight.value for model in (target, draft) for weight in model.weights]
    signatures = {}
    for number, run in enumerate(systems.values()):

        def outputs(source, run=run):
            decoded, rounds = run(source)
            return {"tokens": decoded.tokens[:, 0], "lengths": decoded.lengths[:, 0], "rounds": rounds}

        traced = tf.function(outputs, input_signature=[SPEC], autograph=False)
        signatures[f"system_{number}"] = traced
    tf.saved_model.save(module, folder, signatures=signatures)
    check_ops(folder)
    (Path(folder) / "systems.txt").write_text("\n".join(systems), encoding="utf-8")


def measure(folder, sources, size, repeats):
    """By system: processor time, time by the clock, and the rows that were written."""
    disable_xla()
    names = (Path(folder) / "systems.txt").read_text(encoding="utf-8").splitlines()
    batches = [padded(sources[i : i + size]) for i in range(0, len(sources), size)]
    results = {name: defaultdict(list) for name in names}
    threads = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph, config=threads) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        calls = [
            session.make_callable(
                [
                    loaded.signature_def[f"system_{i}"].outputs[x].name
                    for x in ("tokens", "lengths", "rounds")
                ],
                [loaded.signature_def[f"system_{i}"].inputs["source"].name],
            )
            for i in range(len(names))
        ]
        for call in calls:
            call(batches[0])
        for batch in batches:
            for name, timed in zip(names, best_of(calls, batch, repeats), strict=True):
                cpu, wall, (tokens, lengths, rounds) = timed
                results[name]["cpu"].append(cpu)
                results[name]["wall"].append(wall)
                results[name]["rows"] += [t[:n].tolist() for t, n in zip(tokens, lengths, strict=True)]
                results[name]["rounds"] += rounds.tolist()
    return results


def best_of(calls, batch, repeats):
    """The least processor time, the least time by the clock and the answer of every call."""
    best = [(np.inf, np.inf, None)] * len(calls)
    for _ in range(repeats):
        for i, call in enumerate(calls):
            cpu, wall = time.process_time(), time.perf_counter()
            answer = call(batch)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            best[i] = (min(best[i][0], cpu), min(best[i][1], wall), answer)
    return best


def padded(rows):
    array = np.zeros((len(rows), max(map(len, rows)) + 1), np.int32)
    for row, ids in zip(array, rows, strict=True):
        row[: len(ids) + 1] = [*ids, special_ids.END]
    return array


def print_rows(results, size):
    greedy = results[GREEDY]
    for name, result in results.items():
        ratios = (f"{sum(greedy[clock]) / sum(result[clock]):.2f}" for clock in ("cpu", "wall"))
        speculative = bool(result["rounds"])
        passes = f"{sum(map(len, result['rows'])) / sum(result['rounds']):.2f}" if speculative else "1"
        differ = sum(one != other for one, other in zip(result["rows"], greedy["rows"], strict=True))
        cells = (size, name, f"{sum(result['cpu']):.1f}", *ratios, passes, differ)
        print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
