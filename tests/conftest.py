"""What the tests share: seeds, a fresh process, and tiny models between their tokenizers."""

import contextlib
import fcntl
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings

from .answering_process import AnsweringProcess
from .few import few

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# What the tests compile runs once or twice: XLA would take longer to optimise it than that saves.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# Test processes share the cores among them already: where each has threads for all, they wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# The same examples every time, however slow the machine is.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

SEED = 21

# Two scripts, upper and lower case, digits, a plane-1 character, a narrow no-break space.
SENTENCES = (
    "안녕하세요 세계",
    "Grüße aus Köln!",
    "ein Hund läuft über die Straße",
    "der Hund schläft 3 Stunden",
    "한국어 문장 하나",
    "漢字と仮名 🙂",
    "10\u202f000 Schritte",
)

LOAD_AND_PREDICT = """
import json, sys
import keras, numpy as np
import keras_attn.layers, keras_attn.models
for line in sys.stdin:
    model_path, inputs_path, outputs_path = json.loads(line)
    model = keras.models.load_model(model_path, compile=False)
    with np.load(inputs_path) as inputs:
        outputs = model(dict(inputs))
    np.savez(outputs_path, *[keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)])
    print("done", flush=True)
"""


def pytest_collection_finish(session):
    """Takes what was imported, a million objects, out of what each garbage collection looks through."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    """A seeded NumPy generator; Keras' own seeds are set along with it."""
    return seeded()


@pytest.fixture
def run_python():
    """Runs a script in a fresh Python process and returns what it wrote to stdout."""

    def run(script, *arguments, stdin="", check=True):
        command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done if not check else done.stdout

    return run


@pytest.fixture(scope="session")
def predicting_process():
    """A process that has made no model, but loads those that it is given."""
    process = AnsweringProcess("-W", "error", "-c", LOAD_AND_PREDICT)
    yield process
    process.close()


@pytest.fixture
def predict_in_fresh_process(predicting_process, tmp_path):
    """Saves a Keras model, loads it in another process and returns its outputs there, flattened."""

    def predict(model, inputs):
        paths = [tmp_path / name for name in ("model.keras", "inputs.npz", "outputs.npz")]
        model.save(paths[0])
        np.savez(paths[1], **inputs)
        predicting_process.ask(*paths)
        with np.load(paths[2]) as outputs:
            return [outputs[name] for name in outputs.files]

    return predict


@pytest.fixture(scope="session")
def tokenizers():
    """One tokenizer of each kind, for both sides, by kind."""
    from keras_attn.tokenizers import CharacterTokenizer, SentencePieceTokenizer

    lines = SENTENCES * 3
    return SimpleNamespace(
        characters=CharacterTokenizer.train(lines, 97),
        sentencepiece=SentencePieceTokenizer.train(lines, 61, byte_fallback=False),
    )


@pytest.fixture(scope="session", name="tiny_model")
def tiny_model_fixture():
    """`tiny_model(source_vocabulary_size, target_vocabulary_size, dropout)`."""
    return tiny_model


@pytest.fixture(scope="session", params=few(["characters", "sentencepiece"], "characters"))
def text_to_text(request, tokenizers):
    """An untrained model between tokenizers of each kind; its texts end early, late and never."""
    return tiny_text_to_text(getattr(tokenizers, request.param))


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """`built_once(name, build)`: what `build(folder)` returns, a path, built once for all test processes.

    The first process that asks for a name builds, the others wait and take what it has built.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def build_or_find(name, build):
        folder, done = base / f"once-{name}", base / f"once-{name}.done"
        with open(base / f"once-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not done.exists():
                folder.mkdir()
                done.write_text(str(build(folder)))
        return Path(done.read_text())

    return build_or_find


@pytest.fixture(scope="session")
def exported(request, text_to_text, built_once):
    """The SavedModel of `text_to_text`: the folder of its first version."""
    from keras_attn.export import export_saved_model

    def build(folder):
        with unchecked():
            return export_saved_model(text_to_text, folder / "tiny")

    return built_once(f"tiny-{type(text_to_text.source_tokenizer).__name__}", build)


@pytest.fixture(scope="session", name="unchecked")
def unchecked_fixture():
    """`with unchecked():` exports are not asked on the way: for those that tests compare with their model."""
    return unchecked


@pytest.fixture(scope="session", name="few_signatures")
def few_signatures_fixture():
    """`with few_signatures():` exports have the two signatures alone that are checked on the way.

    `with few_signatures(*names):` those that it names.
    """
    return few_signatures


@pytest.fixture
def two_signatures():
    """The same for a whole test. Exports take a third of the time."""
    with few_signatures():
        yield


@pytest.fixture(scope="session")
def session_process():
    """The process of `session_client.py`, which imports no Keras and none of ours."""
    process = AnsweringProcess(Path(__file__).with_name("session_client.py"))
    yield process
    process.close()


@pytest.fixture(scope="session")
def ask_session(session_process, tmp_path_factory):
    """`ask_session(path, requests)`: what a Session without XLA answers to a list of (signature, inputs)."""

    def ask(path, requests):
        folder = tmp_path_factory.mktemp("session")
        files = [folder / name for name in ("requests", "answers")]
        files[0].write_bytes(pickle.dumps(requests))
        session_process.ask(path, *files)
        return pickle.loads(files[1].read_bytes())

    return ask


@contextlib.contextmanager
def few_signatures(*names):
    from keras_attn.export import warmup
    from keras_attn.export.service import signatures

    names = names or ("serving_default", "score")
    with pytest.MonkeyPatch.context() as patched:
        for module in (signatures, warmup):
            patched.setattr(module, "signature_names", lambda service: names)
        yield


@contextlib.contextmanager
def unchecked():
    from keras_attn.export import saved_model

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(saved_model, "_check_answers", lambda *arguments, **options: None)
        yield


def seeded():
    import keras

    keras.utils.set_random_seed(SEED)
    return np.random.default_rng(SEED)


def tiny_text_to_text(tokenizer):
    from keras_attn import TextToText

    return TextToText(
        tiny_model(tokenizer.vocabulary_size), tokenizer, tokenizer, max_length=13, max_source_length=67
    )


def tiny_model(source_vocabulary_size, target_vocabulary_size=None, dropout=0.0):
    """A recurrent model whose outputs depend on its inputs although it is not trained."""
    from keras_attn.models import RecurrentSeq2Seq

    rng = seeded()
    target_vocabulary_size = target_vocabulary_size or source_vocabulary_size
    model = RecurrentSeq2Seq(
        source_vocabulary_size,
        target_vocabulary_size,
        embedding_dim=5,
        units=7,
        attention_units=3,
        dropout=dropout,
    )
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 1.3, weight.shape))
    bias = model.get_layer("logits").bias
    bias.assign(bias + 4.0 * np.eye(target_vocabulary_size)[2])  # the end token comes now and then
    return model
