"""What the fuzzers share: the tests' models in this process, and how libFuzzer is started."""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

MODELS = ("half", "two", "shout", "default_input", "below10", "integers", "examples")


def registry(folder):
    """Saves the models that the tests use, and loads them."""
    import conftest as tiny

    from keras_attn.serving.inference.servable import SessionSettings
    from keras_attn.serving.models.loading import SavedModelLoader
    from keras_attn.serving.models.registry import Registry
    from keras_attn.serving.models.served_model import ServedModel

    modules = (tiny.HalfPlus(2.0), tiny.TwoInTwoOut(), tiny.Shout(), tiny.WithDefault(), tiny.Below10())
    integers, examples = tiny.Integers(), tiny.Examples()
    for name, module in zip(MODELS, modules, strict=False):
        tiny.save(module, f"{folder}/{name}/1")
    tiny.save(integers, f"{folder}/integers/1", count=integers.count)
    odd = ("classify", "scores_alone", "labels_alone", "flat", "whole_numbers", "one_row", "wide")
    tiny.save(examples, f"{folder}/examples/1", **{name: getattr(examples, name) for name in odd})
    load = SavedModelLoader(SessionSettings(inter_op_threads=1))
    loaded = Registry([ServedModel(name, f"{folder}/{name}", load) for name in MODELS])
    problems = [problem for model in loaded.models for problem in model.poll()]
    if problems:
        raise SystemExit(f"The models did not load: {problems}")
    return loaded


def fuzz(make_target, seeds, description):
    """Fuzzes until the time is over or something fails; what failed is written to a file `crash-...`.

    Args:
        make_target: makes a function of bytes from the models' registry.
        seeds: inputs to begin with.
        description: what `--help` says.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--corpus", help="folder in which interesting inputs are kept from run to run")
    parser.add_argument("inputs", nargs="*", help="files to run once each, such as crash-...")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = make_target(registry(f"{folder}/models"))
        corpus = Path(arguments.corpus or f"{folder}/corpus")
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        limits = [f"-max_total_time={arguments.seconds}", "-rss_limit_mb=6000", "-timeout=20", "-max_len=512"]
        atheris.Setup([sys.argv[0], *limits, *(arguments.inputs or [str(corpus)])], target)
        atheris.Fuzz()
