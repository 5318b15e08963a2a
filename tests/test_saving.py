"""`keras_attn.load_model`: a file is enough, whatever of this library the model is made of."""

import keras
import numpy as np

import keras_attn
from keras_attn.models import RecurrentSeq2Seq

LOAD = """
import sys
import numpy as np
import keras_attn
model = keras_attn.load_model(sys.argv[1])
print(type(model).__name__, type(model.loss).__name__, float(model.loss.label_smoothing))
inputs = {"source": np.array([[5, 9, 2]]), "target": np.array([[1, 4, 8]])}
print(*model(inputs).numpy().reshape(-1).tolist())
"""


def test_in_a_process_that_has_imported_nothing_else(run_python, tmp_path):
    model = RecurrentSeq2Seq(11, 13, embedding_dim=5, units=7)
    metrics = [keras_attn.TokenAccuracy()]
    model.compile("adam", keras_attn.SequenceCrossentropy(0.1), metrics=metrics, run_eagerly=True)
    inputs = {"source": np.array([[5, 9, 2]]), "target": np.array([[1, 4, 8]])}
    model.fit(inputs, np.array([[4, 8, 2]]), verbose=0)
    model.save(tmp_path / "model.keras")
    classes, logits = run_python(LOAD, tmp_path / "model.keras").splitlines()
    assert classes == "RecurrentSeq2Seq SequenceCrossentropy 0.1"
    expected = keras.ops.convert_to_numpy(model(inputs)).reshape(-1)
    np.testing.assert_array_equal(np.array(logits.split(), np.float64), expected)
