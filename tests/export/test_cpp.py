"""The C++ road: TensorFlow's own loader and Session without any Python give the same answers."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.export.verification.comparison import differences
from keras_attn.export.verification.tolerance import tolerance_of

TEXTS = ["안녕하세요 세계", "Grüße aus Köln!", "", "ein Hund läuft über die Straße", "漢字 🙂"]


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """`load_saved_model`, built against the TensorFlow that is installed."""
    compiler = shutil.which("g++")
    home = Path(tf.__file__).parent
    if compiler is None:
        pytest.skip("there is no g++")
    if not (home / "libtensorflow_cc.so.2").exists():
        pytest.skip("this platform's TensorFlow has no libtensorflow_cc.so.2")
    path = tmp_path_factory.mktemp("program") / "load_saved_model"
    command = [
        *(compiler, "-O0", "-std=c++17", "-w", str(Path(__file__).with_name("load_saved_model.cc"))),
        *("-o", str(path), f"-I{home / 'include'}", f"-L{home}", f"-Wl,-rpath,{home}"),
        *("-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"),
        # As the wheel was built.
        *tf.sysconfig.get_compile_flags()[1:],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return path


@pytest.fixture(scope="session")
def libraries():
    import tensorflow_text

    return sorted(Path(tensorflow_text.__file__).parent.glob("python/ops/_sentencepiece*.so"))


@pytest.mark.exhaustive
def test_a_cpp_program_answers_as_the_eager_model_does(program, libraries, exported, text_to_text):
    command = [program, exported, *libraries]
    lines = "".join(f"{text}\n" for text in TEXTS)
    done = subprocess.run(command, input=lines.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    answers = [line.split(b"\t") for line in done.stdout.splitlines()]
    eager = text_to_text.translate(tf.constant(TEXTS))
    assert [text for text, _ in answers] == eager["text"].numpy().tolist()
    answer = {"score": np.array([float(score) for _, score in answers])}
    tolerance = tolerance_of(text_to_text, [text.encode() for text in TEXTS])
    assert differences({"score": eager["score"].numpy()}, answer, tolerance) == []


@pytest.mark.exhaustive
def test_the_program_says_what_is_wrong(program, tmp_path):
    done = subprocess.run([program, tmp_path], input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"Could not find SavedModel" in done.stderr
