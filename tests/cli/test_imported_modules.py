"""Commands that need no model, and checks of files and arguments, come before TensorFlow: a process each."""

import json
import os
import socket
import subprocess
import sys
import tarfile
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from keras_attn.cli import main
from keras_attn.serving.protos.generated_messages import generated

RELEASED = Path(__file__).parents[1] / "data" / "released"
# What takes longest to import, and no command below needs unless its row says so.
HEAVY = (
    "tensorflow",
    "tensorflow_text",
    "keras",
    "jax",
    "torch",
    "h5py",
    "sacrebleu",
    "grpc",
    "babel",
    "rich",
)
RUN_AND_TELL = f"""
import json, os, sys
from keras_attn.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print("\\n" + json.dumps([code or 0, heavy]))
sys.stdout.flush()
"""
# Command, arguments, exit code, a part of what it says, what it may import.
TABLE = [
    ("--help", [], 0, "Commands", []),
    ("--version", [], 0, "version", []),
    ("frobnicate", [], 2, "No such command", []),
    ("train", ["{folder}/none.toml"], 1, "does not exist", []),
    ("train", ["{recipe}", "--set", "training.epoch=3"], 1, "Did you mean `epochs`?", []),
    ("train", ["{recipe}", "--set", "data.train.path=none.tsv"], 1, "none.tsv` was not found", []),
    ("train", ["{recipe}", "--set", "data.train.path=cp949.tsv"], 1, "is CP949", []),
    ("train", ["{recipe}", "--run", "{recipe}"], 1, "is a file, expected a folder", []),
    ("train", ["{recipe}", "--run", "{export}"], 1, "is not empty and no run folder", []),
    ("train", ["{recipe}", "--run", "{run}", "--set", "model.units=13"], 1, "of another recipe", []),
    ("demo", ["--set", "training.epoch=3"], 1, "Did you mean `epochs`?", []),
    ("demo", ["--run", "{recipe}"], 1, "is a file, expected a folder", []),
    ("demo", ["--run", "{export}"], 1, "is not empty and no run folder", []),
    ("evaluate", ["{folder}/none"], 1, "is no run folder", []),
    ("evaluate", ["{run}", "--beam-size", "0"], 2, "Invalid value", []),
    ("evaluate", ["{run}", "--length-penalty", "1"], 2, "is of a beam", []),
    ("evaluate", ["{run}", "--checkpoint", "averaged"], 1, "has no averaged.keras yet", []),
    ("evaluate", ["{run_without_data}"], 1, "gone.tsv` was not found", []),
    ("average", ["{folder}/none", "--last", "2"], 1, "is no run folder", []),
    ("average", ["{run}", "--last", "2"], 1, "has kept the weights of 0 epochs", []),
    ("average", ["{run}"], 2, "Expected one of", []),
    ("compare", ["{folder}/none", "{run}"], 1, "is no run folder", ["sacrebleu"]),
    ("compare", ["{run}", "{run}", "--samples", "7"], 0, "No difference is significant", ["sacrebleu"]),
    ("translate", ["{folder}/none", "x"], 1, "is no run folder", []),
    ("translate", ["{run}", "--checkpoint", "{recipe}", "x"], 1, "is no model", []),
    ("translate", ["{run}", "--html", "{folder}/none/a.html", "x"], 1, "There is no folder for", []),
    ("export", ["{folder}/none"], 1, "is no run folder", []),
    ("export", ["{run}", "--to", "{recipe}"], 1, "is a file, expected a folder", []),
    ("export", ["{run}", "--to", "{export}", "--version", "1"], 1, "exists already", []),
    ("export", ["{run}", "--to", "{export}", "--format", "ctranslate2"], 1, "holds a SavedModel", []),
    ("export", ["{run}", "--format", "ctranslate2", "--beam-size", "2"], 2, "are of saved_model", []),
    ("verify", ["{folder}/none"], 2, "does not exist", []),
    ("verify", ["{run}"], 1, "holds no SavedModel", []),
    ("verify", ["{export_without_manifest}"], 1, "has no manifest", []),
    ("verify", ["{export}", "--run", "{folder}/none"], 1, "is no run folder", []),
    ("verify", ["{export}", "--inputs", "{empty}"], 1, "has no text", []),
    ("verify", ["{export}", "--checkpoint", "last"], 2, "is of --run", []),
    ("deploy", ["{export}", "--kind", "compose", "--output", "{folder}/out"], 0, "Wrote", []),
    (
        "deploy",
        ["{export_without_manifest}", "--kind", "compose", "--output", "{folder}/o"],
        1,
        "manifest",
        [],
    ),
    ("serve", ["--help"], 0, "--model_base_path", []),
    ("serve", ["--version"], 0, "TensorFlow Library", []),
    ("serve", ["--port=x"], 255, "expects a whole number", []),
    ("serve", ["--port=0"], 255, "are empty", []),
    ("serve", ["--model_base_path={recipe}"], 1, "is a file", []),
    ("serve", ["--model_base_path={export}", "--port={taken}"], 255, "with --port", ["grpc"]),
    (
        "serve",
        ["--model_base_path={export}", "--port=0", "--rest_api_port={taken}"],
        255,
        "api_port",
        ["grpc"],
    ),
    ("serve", ["--model_config_file={folder}/none"], 255, "No such file", ["grpc"]),
    ("serve", ["--model_base_path={export}", "--ssl_config_file={empty}"], 255, "no PEM text", ["grpc"]),
    ("query", ["--url", "http://localhost:9", "x"], 1, "No server answers", []),
    ("query", ["--url", "ftp://a", "x"], 2, "is not a server's address", []),
    ("query", ["--url", "grpc://localhost:9", "x"], 1, "UNAVAILABLE", ["grpc"]),
    ("query", ["--url", "grpc://localhost:{answering}", "x", "y"], 0, "echo x\necho y\n", ["grpc"]),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the arguments name, made without any training."""
    from keras_attn.training.recipe.toml import load_recipe
    from keras_attn.training.run.run_folder import RunFolder

    folder = tmp_path_factory.mktemp("places")
    (folder / "pairs.tsv").write_text("a\tx\nb\ty\nc\tz\nd\tw\n")
    (folder / "cp949.tsv").write_bytes("안녕하세요 여러분\thello everybody\n".encode("cp949"))
    (folder / "empty").write_text("")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f'[data]\nfolder = "{folder}"\nvalidation_size = 1\ntest_size = 1\ntrain.path = "pairs.tsv"\n'
    )
    run = RunFolder(folder / "run")
    run.begin(load_recipe(recipe))
    run.write_text("history.json", '[{"epoch": 1, "val_loss": 1.0}]')
    run.best_path.write_text("never read")
    run.checkpoints.folder.mkdir()
    (run.checkpoints.folder / "epoch-0001.keras").write_text("never read")
    run.write_text("translations.test.tsv", "a b\tx y\tx y\n")
    without_data = RunFolder(folder / "without")
    without_data.begin(load_recipe(recipe, ["data.train.path=gone.tsv"]))
    without_data.best_path.write_text("never read")
    with tarfile.open(RELEASED / "format-1.tar.xz") as archive:
        archive.extractall(folder / "export", filter="data")
    (folder / "bare" / "1").mkdir(parents=True)
    (folder / "bare" / "1" / "saved_model.pb").write_text("never read")
    return {
        "folder": folder,
        "empty": folder / "empty",
        "recipe": recipe,
        "run": run.path,
        "run_without_data": without_data.path,
        "export": folder / "export",
        "export_without_manifest": folder / "bare",
    }


@pytest.fixture(scope="module")
def taken():
    """A port in use."""
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def answering():
    """The port of a gRPC server with one signature, `text` to `text`."""
    apis = "tensorflow_serving.apis"
    metadata_pb2, predict_pb2 = (
        generated(f"{apis}.{name}_pb2") for name in ("get_model_metadata", "predict")
    )
    string = generated("tensorflow.core.framework.types_pb2").DT_STRING

    def metadata(request, context):
        signatures = metadata_pb2.SignatureDefMap()
        signatures.signature_def["serving_default"].inputs["text"].dtype = string
        response = metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response

    def predict(request, context):
        response = predict_pb2.PredictResponse()
        for name, tensor in request.inputs.items():
            response.outputs[name].CopyFrom(tensor)
            response.outputs[name].string_val[:] = [b"echo " + text for text in tensor.string_val]
        response.outputs["score"].dtype = generated("tensorflow.core.framework.types_pb2").DT_FLOAT
        return response

    def handler(run, kind):
        return grpc.unary_unary_rpc_method_handler(
            run, kind.FromString, lambda reply: reply.SerializeToString()
        )

    methods = {
        "GetModelMetadata": handler(metadata, metadata_pb2.GetModelMetadataRequest),
        "Predict": handler(predict, predict_pb2.PredictRequest),
    }
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service = "tensorflow.serving.PredictionService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.mark.parametrize(
    ("command", "arguments", "code", "words", "allowed"),
    TABLE,
    ids=[" ".join([row[0], *row[1]]) for row in TABLE],
)
def test_no_tensorflow(command, arguments, code, words, allowed, places, taken, answering):
    given = [text.format(**places, taken=taken, answering=answering) for text in arguments]
    ran = subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, command, *given],
        capture_output=True,
        text=True,
        cwd=places["folder"],
        env={**os.environ, "COLUMNS": "200"},
        check=True,
    )
    *lines, last = ran.stdout.splitlines(keepends=True)
    ended, heavy = json.loads(last)
    assert words in "".join(lines) + ran.stderr
    assert ended == code
    assert set(heavy) <= set(allowed)


def test_every_command_is_in_both_tables():
    files = Path(main.__file__).parent.glob("*.py")
    written = {file.stem for file in files if "\ndef command(" in file.read_text(encoding="utf-8")}
    assert written == set(main._COMMANDS)
    assert set(main._COMMANDS) <= {row[0] for row in TABLE}


def test_a_command_with_a_model_does_import_it(places):
    """The table could not fail if the process could not tell."""
    tell = RUN_AND_TELL.replace("main(sys.argv[1:])", "import tensorflow; main(sys.argv[1:])")
    ran = subprocess.run(
        [sys.executable, "-c", tell, "--version"], capture_output=True, text=True, check=True
    )
    assert "tensorflow" in json.loads(ran.stdout.splitlines()[-1])[1]
