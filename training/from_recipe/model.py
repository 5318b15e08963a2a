"""From the `[model]` section of a recipe to a model."""

from keras_attn.families.registry import family_arguments, family_class
from keras_attn.models import Seq2SeqModel
from keras_attn.training.recipe.model_sections import ModelSection


def build_model(
    section: ModelSection,
    source_vocabulary_size: int,
    target_vocabulary_size: int,
    dtype: str | None = None,
) -> Seq2SeqModel:
    """Makes a new model of the section's family, not trained.

    Args:
        section: the `model` of a recipe.
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: number of target ids; the same one as the source's for a language model.
        dtype: dtype policy of the layers, e.g. `"mixed_bfloat16"`; the global one when None.

    Returns:
        A Keras model of `{"source", "target"}` with `start` and `step`.
    """
    sizes = {
        "source_vocabulary_size": source_vocabulary_size,
        "target_vocabulary_size": target_vocabulary_size,
        "vocabulary_size": target_vocabulary_size,
    }
    names = [argument.name for argument in family_arguments(section.kind) if argument.positional]
    own_sizes = {name: sizes[name] for name in names}
    return family_class(section.kind)(**own_sizes, **section.settings(), dtype=dtype)
