"""A family of models that a user writes and registers: trained from a recipe, decoded and exported."""

import keras
import pytest
import tensorflow as tf
from keras import ops

from keras_attn.export import export_saved_model
from keras_attn.families import registry
from keras_attn.models import Seq2SeqModel, register_family
from keras_attn.protocols import Step
from keras_attn.typing import Count, Rate

TEXTS = ["rot blau 3", "가 나", ""]


@keras.saving.register_keras_serializable(package="mine")
class BagSeq2Seq(Seq2SeqModel):
    """Sums of vectors: those of the source, and those of the target so far."""

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        *,
        embedding_dim: Count,
        dropout: Rate = 0.1,
        dtype=None,
        **kwargs,
    ):
        super().__init__(locals())

    @staticmethod
    def make_parts(settings):
        sizes = {side: settings[f"{side}_vocabulary_size"] for side in ("source", "target")}
        tables = {
            side: keras.layers.Embedding(size, settings["embedding_dim"], name=f"{side}_table")
            for side, size in sizes.items()
        }
        return {**tables, "logits": keras.layers.Dense(sizes["target"], dtype="float32", name="logits")}

    @staticmethod
    def connect(parts, settings, source, target):
        so_far = ops.cumsum(parts["target"](target), axis=1)
        return parts["logits"](so_far + _sum(parts, source))

    def start(self, source):
        memory = {"sum": _sum(self._parts, source), "mask": ops.cast(source != 0, "float32")}
        return ops.zeros_like(memory["sum"]), memory

    def step(self, tokens, position, state, memory):
        state = state + self._parts["target"](tokens)
        alignment = ops.zeros_like(tokens[..., None], "float32") + memory["mask"][:, None]
        return Step(self._parts["logits"](state + memory["sum"]), state, alignment)


def _sum(parts, source):
    """Source ids `[B, S]` to `[B, 1, D]`."""
    mask = ops.cast(ops.expand_dims(source != 0, -1), "float32")
    return ops.sum(parts["source"](source) * mask, axis=1, keepdims=True)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    return register_family("bag")(BagSeq2Seq)


def test_training_decoding_and_export(registered, recipe_of, training, tmp_path, few_signatures):
    recipe = recipe_of(model__kind="bag", training__epochs=1)
    run, _ = training(recipe, tmp_path / "run")
    text_to_text = run.text_to_text()
    assert type(text_to_text.model) is registered
    assert text_to_text.model.get_config()["embedding_dim"] == recipe.model.embedding_dim
    with few_signatures():
        folder = export_saved_model(text_to_text, tmp_path / "export")
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](text=tf.constant(TEXTS))
    assert [text.decode() for text in served["text"].numpy()] == text_to_text(TEXTS)
