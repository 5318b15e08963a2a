"""The forward pass in other formats: what Keras' own `model.export(path, format=...)` gives of our models."""

import numpy as np
import pytest
import tensorflow as tf

from ..few import few
from .conftest import family_model

FAMILIES = ("recurrent", "convolutional", "transformer")
SIZE, SOURCE_LENGTH, TARGET_LENGTH = 13, 5, 3
# One batch of the lengths that some formats fix, and one of others.
BATCH = {
    "source": np.array([[5, 7, 3, 2, 0], [4, 2, 0, 0, 0]], np.int32),
    "target": np.array([[1, 6, 4], [1, 8, 0]], np.int32),
}
OTHER = {
    "source": np.array([[5, 7, 3, 9, 6, 11, 2]], np.int32),
    "target": np.array([[1, 6, 4, 12, 10]], np.int32),
}
LITERT = pytest.mark.filterwarnings(r"ignore:\s*Warning. tf.lite.Interpreter is deprecated:UserWarning")
ONNX = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def models():
    """`models(family)`: one model of each, made once."""
    made = {}

    def model(name):
        made.setdefault(name, family_model(name, SIZE))
        return made[name]

    return model


def litert_runner(model, folder, batch_size=None, fixed_lengths=False):
    """The signature of a LiteRT model; what the converter is not told to fix may be anything."""
    path = folder / "model.tflite"
    lengths = {"source": SOURCE_LENGTH, "target": TARGET_LENGTH} if fixed_lengths else {}
    spec = {name: tf.TensorSpec([batch_size, lengths.get(name)], tf.int32, name) for name in BATCH}
    model.export(path, format="litert", verbose=False, input_signature=[spec])
    return tf.lite.Interpreter(str(path)).get_signature_runner()


def assert_same_logits(model, batch, received):
    expected = model(batch).numpy()
    assert expected.std() > 0.1  # or anything would be the same
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.exhaustive
@LITERT
@pytest.mark.parametrize(("family", "batch_size"), [("recurrent", 2), ("transformer", None)])
def test_litert_of_fixed_lengths(models, family, batch_size, tmp_path):
    run = litert_runner(models(family), tmp_path, batch_size, fixed_lengths=True)
    assert_same_logits(models(family), BATCH, run(**BATCH)["output_0"])


@pytest.mark.exhaustive
@LITERT
def test_litert_of_any_shape_of_a_convolutional_model(models, tmp_path):
    model = models("convolutional")
    run = litert_runner(model, tmp_path)
    for batch in (BATCH, OTHER):
        assert_same_logits(model, batch, run(**batch)["output_0"])


@pytest.mark.exhaustive
@LITERT
@pytest.mark.parametrize(
    ("family", "batch_size", "fixed_lengths", "op"),
    [
        # A list of the steps' outputs, whose shape has to be known before it is built in.
        ("recurrent", None, True, "FlexTensorListReserve"),
        ("transformer", None, False, "FlexStridedSlice"),
    ],
)
def test_litert_of_any_shape_asks_for_ops_that_it_does_not_hold(
    models, family, batch_size, fixed_lengths, op, tmp_path
):
    run = litert_runner(models(family), tmp_path, batch_size, fixed_lengths)
    with pytest.raises(RuntimeError, match=f"Select TensorFlow op.*{op}"):
        run(**BATCH)


def onnx_answers(model, path):
    """What ONNX Runtime answers to each batch."""
    pytest.importorskip("tf2onnx", reason="Keras writes ONNX through it")
    runtime = pytest.importorskip("onnxruntime", reason="it runs ONNX")
    model(BATCH)  # Keras exports to ONNX only what has been called
    model.export(path, format="onnx", verbose=False)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [session.run(None, batch)[0] for batch in (BATCH, OTHER)]


@pytest.mark.exhaustive
@ONNX
@pytest.mark.parametrize("family", ["recurrent", "transformer"])
def test_onnx_of_any_shape(models, family, tmp_path):
    answers = onnx_answers(models(family), tmp_path / "model.onnx")
    for batch, answer in zip((BATCH, OTHER), answers, strict=True):
        assert_same_logits(models(family), batch, answer)


@pytest.mark.exhaustive
@ONNX
def test_onnx_of_learned_positions_gives_nothing(models, tmp_path):
    """tf2onnx writes `where(m, a, b)` as a m + b (1 - m); b is NaN beyond the table, and so is 0 times it."""
    for answer in onnx_answers(models("convolutional"), tmp_path / "model.onnx"):
        assert np.isnan(answer).all()


@pytest.mark.parametrize("family", few(FAMILIES, "recurrent"))
def test_saved_model_of_the_forward_pass(models, family, tmp_path):
    model = models(family)
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for batch in (BATCH, OTHER):
        assert_same_logits(model, batch, loaded.serve(batch))
