"""Run where the wheel, Keras, NumPy and JAX are installed, and no extra: layers, losses and models work."""

import importlib
import importlib.util
import os
import pkgutil
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
for name in ("tensorflow", "click", "uvicorn"):
    assert importlib.util.find_spec(name) is None, name

import keras  # noqa: E402
import numpy as np  # noqa: E402

import keras_attn  # noqa: E402
from keras_attn.extras import MissingExtraError  # noqa: E402

TESTS = Path(__file__).parents[1]
SAVED = TESTS / "data" / "saved_models" / "before-rooms.tar.xz"
# Rooms that need no extra.
BASE = tuple(
    f"keras_attn.{name}"
    for name in ("checks", "layers", "losses", "metrics", "models", "ops", "saving", "visualize")
)
# A model of every family, and one of all layers.
MODELS = ("recurrent_luong", "convolutional", "transformer_rotary", "language_model", "by_hand")
# One for each extra: what a user may call, and the extra that its sentence names.
LACKING = {
    "keras_attn.TextToText": "text",
    "keras_attn.decoding": "text",
    "keras_attn.export": "text",
    "keras_attn.tokenizers": "text",
    "keras_attn.training": "text",
    "keras_attn.serving.GrpcClient": "serve",
    "keras_attn.serving.RestClient": "client",
    "keras_attn.serving.Server": "serve",
}


def main():
    assert Path(keras_attn.__file__).is_relative_to(sys.prefix), keras_attn.__file__
    assert keras.backend.backend() == "jax"
    import_all()
    name_extras()
    train_and_save()
    assert not {"tensorflow", "torch"} & set(sys.modules)
    print("Keras", keras.__version__, "NumPy", np.__version__, "on JAX, without an extra: fine")


def import_all():
    """Modules of rooms that need no extra import; every other one imports, or names the extra."""
    loaded, lacking = set(), {}
    for module in pkgutil.walk_packages(keras_attn.__path__, "keras_attn.", onerror=str):
        if not module.name.endswith("__main__"):  # which runs a command
            try:
                importlib.import_module(module.name)
                loaded.add(module.name)
            except MissingExtraError as error:
                lacking[module.name] = error.name
    print(len(loaded), "modules loaded;", *sorted(lacking), "need an extra", flush=True)
    assert not [name for name in lacking if name.startswith(BASE)]
    assert {*BASE, "keras_attn.serving.client.connect"} <= loaded


def name_extras():
    for path, extra in LACKING.items():
        home, _, name = path.rpartition(".")
        said = ""
        try:
            getattr(importlib.import_module(home), name)
        except MissingExtraError as error:
            said = str(error)
        assert said.endswith(f"Run: pip install 'keras-attn[{extra}]'"), f"{path}: {said}"
    command = [Path(sys.prefix) / "bin" / "keras-attn", "--help"]
    for call, words in ((command, "'keras-attn[all]'"), ([sys.executable, "-m", "keras_attn.serving"], "[")):
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip()
        assert done.returncode not in (0, 2), said
        assert said.splitlines()[-1].count("pip install") == 1, said
        assert words in said, said
        assert "Traceback" not in said, said


def train_and_save():
    """Models that were saved with TensorFlow compute the same, train, and survive another save."""
    script = runpy.run_path(TESTS / "models" / "make_saved_models.py")
    with tarfile.open(SAVED) as files:
        files.extractall("saved", filter="data")
    outputs = np.load("saved/outputs.npz")
    for name in MODELS:
        model = keras_attn.load_model(f"saved/{name}.keras")
        np.testing.assert_allclose(predicted(model, script), outputs[name], rtol=1e-3, atol=1e-5)
        loss, accuracy = keras_attn.losses.SequenceCrossentropy(0.1), keras_attn.metrics.TokenAccuracy()
        # Compiling takes longer than all else here: once is enough.
        model.compile("sgd", loss, metrics=[accuracy], run_eagerly=name != "transformer_rotary")
        before = predicted(model, script)
        assert np.isfinite(model.train_on_batch(script["INPUTS"], script["LABELS"])).all()
        after = predicted(model, script)
        assert not np.array_equal(before, after), name
        model.save(f"{name}.keras")
        np.testing.assert_array_equal(predicted(keras_attn.load_model(f"{name}.keras"), script), after)
    print(*MODELS, "trained and saved")


def predicted(model, script):
    return keras.ops.convert_to_numpy(model(script["INPUTS"]))


if __name__ == "__main__":
    main()
