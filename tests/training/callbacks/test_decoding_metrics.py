"""Scores while training are those of the served decoding on the sample."""

import numpy as np
import pytest
import sacrebleu

from keras_attn.training.callbacks.decoding_metrics import DecodingMetrics
from keras_attn.training.data.corpus import load_corpus
from keras_attn.training.run.run_folder import RunFolder


def test_the_scores_are_those_of_the_kept_model(averaged_run):
    """The last epoch's, by the average that `last` holds, on all 7 validation pairs."""
    run, recipe = averaged_run.run, averaged_run.recipe
    pairs = load_corpus(recipe).validation
    translations = run.text_to_text("last")([source for source, _ in pairs])
    references = [reference for _, reference in pairs]
    entry = averaged_run.history[-1]
    bleu = sacrebleu.corpus_bleu(translations, [references], tokenize="13a").score
    chrf = sacrebleu.corpus_chrf(translations, [references]).score
    assert entry["val_bleu"] == pytest.approx(bleu, abs=0.005)
    assert entry["val_chrf"] == pytest.approx(chrf, abs=0.005)
    assert entry["val_exact_match"] == np.mean([*map(str.__eq__, translations, references)])
    assert entry["val_decoding_seconds"] > 0


def test_every_second_epoch_and_the_last(averaged_run):
    measured = [entry["epoch"] for entry in averaged_run.history if "val_bleu" in entry]
    assert measured == [3, 4]  # every third, and the last


def test_the_monitor_decides_which_is_the_best(averaged_run):
    run = averaged_run.run
    scores = {entry["epoch"]: entry["val_bleu"] for entry in averaged_run.history if "val_bleu" in entry}
    best = max(scores, key=scores.get)  # of equal ones the first
    model = run.last_model()
    model.load_weights(run.checkpoints.weights()[best])
    for one, other in zip(model.trainable_weights, run.model("best").trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("size", "expected"), [(3, 3), (7, 7), (200, 7)])
def test_the_sample_is_the_same_every_time_and_in_order(finished, recipe_of, size, expected):
    recipe = recipe_of(training__validation_decoding={"sample_size": size})
    pairs = load_corpus(recipe).validation
    one, other = (DecodingMetrics(recipe, (), pairs)._pairs for _ in range(2))
    assert one == other
    assert len(one) == expected
    assert one == [pair for pair in pairs if pair in one]


@pytest.mark.exhaustive
def test_lower_precision_trains_and_float32_decodes(quick_recipe_of, training, tmp_path):
    recipe = quick_recipe_of(
        training__precision="mixed_bfloat16", training__epochs=1, training__validation_decoding={}
    )
    run, history = training(recipe, tmp_path / "run")
    trained, served = run.last_model(), RunFolder(run.path).model()
    assert trained.get_config()["dtype"] == "mixed_bfloat16"
    assert served.get_config()["dtype"] == "float32"
    inputs = {"source": np.array([[5, 6, 2]]), "target": np.array([[1, 7, 8]])}
    assert trained(inputs).dtype == served(inputs).dtype == "float32"
    assert {weight.dtype for weight in trained.trainable_weights} == {"float32"}
    np.testing.assert_allclose(trained(inputs), served(inputs), atol=0.05)
    assert np.isfinite(history[0]["loss"])
    pairs = load_corpus(recipe).validation
    translations = run.text_to_text()([source for source, _ in pairs])
    expected = sacrebleu.corpus_chrf(translations, [[reference for _, reference in pairs]]).score
    assert history[0]["val_chrf"] == pytest.approx(expected, abs=0.005)
