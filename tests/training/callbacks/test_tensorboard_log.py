"""Event files as TensorBoard reads them, from TensorFlow's own records."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from keras_attn.training.data.corpus import load_corpus


@pytest.fixture(scope="module")
def logged(quick_recipe_of, training, tmp_path_factory):
    recipe = quick_recipe_of(training__tensorboard=True, training__epochs=2)
    return training(recipe, tmp_path_factory.mktemp("runs") / "logged")


def summaries(run):
    """{(tag, step): (plugin, tensor)} of all event files."""
    found = {}
    for path in (run.path / "tensorboard").iterdir():
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                found[value.tag, event.step] = plugin, tf.make_ndarray(value.tensor)
    return found


def test_numbers(logged):
    run, history = logged
    written = summaries(run)
    for entry in history:
        for name in ("loss", "val_loss", "val_perplexity", "learning_rate"):
            plugin, value = written[name, entry["epoch"]]
            assert plugin == "scalars"
            assert float(value) == pytest.approx(entry[name], rel=1e-6)


def test_alignments(logged):
    """Of the last epoch: one square of 16 pixels a weight, as the last model aligns."""
    run, _ = logged
    written = summaries(run)
    sources = [source for source, _ in load_corpus(run.recipe()).validation[:3]]
    text_to_text = run.text_to_text("last")
    aligned = text_to_text.align(tf.constant(sources))
    for index in range(3):
        plugin, (width, height, encoded) = written[f"alignment/{index + 1}", 2]
        picture = tf.io.decode_png(encoded).numpy()
        num_sources = np.count_nonzero(aligned["source_pieces"][index].numpy() != b"")
        num_targets = np.count_nonzero(aligned["target_pieces"][index].numpy() != b"")
        assert plugin == "images"
        assert picture.shape == (16 * num_targets, 16 * num_sources, 1)
        assert (int(width), int(height)) == picture.shape[1::-1]
        weights = aligned["alignment"][index].numpy()[:num_targets, :num_sources]
        np.testing.assert_allclose(picture[::16, ::16, 0] / 255, weights, atol=0.01)
