"""Run where the wheel is installed, in an empty folder: every module, the files beside them, the commands.

Usage: check_installed.py [--without-serve]
"""

import importlib
import pkgutil
import subprocess
import sys
import tomllib
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import keras_attn

# Of the extra `serve`.
SERVE = {"grpc", "grpc_health", "grpc_reflection", "tensorflow_serving", "uvicorn", "httptools"}
COMMAND = Path(sys.prefix) / "bin" / "keras-attn"


def main(has_serve):
    assert Path(keras_attn.__file__).is_relative_to(sys.prefix), keras_attn.__file__
    import_everything(has_serve)
    check_files()
    names = ("tensorflow", "keras", "numpy", "tensorflow-text", "protobuf")
    print("Python", sys.version.split()[0], *(f"{name} {version(name)}" for name in names), flush=True)
    assert "train" in run("--help")
    assert version("keras-attn") in run("--version")
    if has_serve:  # trains, exports, serves, and asks over REST and gRPC
        few = ("--set", "training.epochs=1", "--set", "model.units=16", "--set", "model.embedding_dim=16")
        assert "The answers are the same." in run("demo", "--pairs", "200", "--run", "run", *few)
        base_path = Path("run") / "export" / "dates"
    else:
        base_path = export_in_a_session()
    for kind in ("compose", "kubernetes", "kserve"):
        files = Path(f"files-{base_path.name}")
        run("deploy", base_path, "--kind", kind, "--output", files)
        assert (files / f"{kind}.yaml").exists()
    print("installed package: fine")


def import_everything(has_serve):
    """All modules; those that need the extra `serve` may say so where it is not there."""
    count = 0
    for module in pkgutil.walk_packages(keras_attn.__path__, "keras_attn."):
        if module.name.endswith(".__main__"):
            continue  # runs a server
        try:
            importlib.import_module(module.name)
            count += 1
        except ModuleNotFoundError as error:
            if has_serve or error.name.partition(".")[0] not in SERVE:
                raise
    assert {"keras_attn.serving", "keras_attn.training", "keras_attn.cli.main"} <= set(sys.modules)
    print(count, "modules imported", flush=True)


def check_files():
    assert (resources.files("keras_attn") / "py.typed").is_file()
    recipes = list((resources.files("keras_attn.training") / "recipes").iterdir())
    assert {"dates.toml", "multi30k_de_en.toml"} <= {path.name for path in recipes}
    for path in recipes:
        tomllib.loads(path.read_text(encoding="utf-8"))


def export_in_a_session():
    """Exports a tiny model, and answers as it does from a Session; returns the base path."""
    import tensorflow as tf

    from keras_attn import TextToText
    from keras_attn.export import export_saved_model
    from keras_attn.models import RecurrentSeq2Seq
    from keras_attn.tokenizers import CharacterTokenizer

    tokenizer = CharacterTokenizer("abc 세계")
    size = tokenizer.vocabulary_size
    path = export_saved_model(
        TextToText(
            RecurrentSeq2Seq(size, size, embedding_dim=5, units=7, attention_units=3),
            tokenizer,
            tokenizer,
            max_length=7,
            max_source_length=11,
        ),
        "tiny",
    )
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def["encode"]
        lengths = session.run(signature.outputs["lengths"].name, {signature.inputs["text"].name: ["세 a"]})
    assert lengths.tolist() == [4], lengths  # the characters and the end
    return Path("tiny")


def run(*arguments):
    """What the console script prints."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]} {done.stderr[-3000:]}"
    return done.stdout


if __name__ == "__main__":
    main("--without-serve" not in sys.argv)
