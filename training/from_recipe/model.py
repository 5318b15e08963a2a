"""From the `[model]` section of a recipe to a model."""

from keras_attn.models import TransformerLanguageModel
from keras_attn.models.presets import FAMILIES
from keras_attn.training.recipe.model_sections import ModelSection

_FAMILIES = {**FAMILIES, "language_model": TransformerLanguageModel}


def build_model(
    section: ModelSection,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    dtype: str | None = None,
):
    """A new model of the family that the section is of.

    Args:
        section: e.g. a `TransformerModel`.
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: number of target ids; the same one as the source's for a language model.
        dtype: dtype policy of the layers, e.g. `"mixed_bfloat16"`; the global one when None.

    Returns:
        A Keras model of `{"source", "target"}` with `start` and `step`, not trained.
    """
    family, settings = _FAMILIES[section.kind], {**section.settings(), "dtype": dtype}
    if section.kind == "language_model":
        return family(target_vocabulary_size, **settings)
    return family(source_vocabulary_size, target_vocabulary_size, **settings)
