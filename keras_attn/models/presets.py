"""Models in sizes that are known by a name."""

from difflib import get_close_matches

from keras_attn.models.convolutional import ConvolutionalSeq2Seq
from keras_attn.models.convolutional_presets import CONVOLUTIONAL_PRESETS
from keras_attn.models.recurrent import RecurrentSeq2Seq
from keras_attn.models.recurrent_presets import RECURRENT_PRESETS
from keras_attn.models.transformer import TransformerSeq2Seq
from keras_attn.models.transformer_presets import TRANSFORMER_PRESETS

# What a preset's "kind" stands for; the rest of a preset are arguments of that class.
FAMILIES = {
    "convolutional": ConvolutionalSeq2Seq,
    "recurrent": RecurrentSeq2Seq,
    "transformer": TransformerSeq2Seq,
}
PRESETS = {**CONVOLUTIONAL_PRESETS, **RECURRENT_PRESETS, **TRANSFORMER_PRESETS}


def from_preset(name, source_vocabulary_size, target_vocabulary_size, **changes):
    """A new model of a known size.

    Args:
        name: one of `PRESETS`.
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: V, number of target ids.
        **changes: arguments of the model's class that are to differ from the preset.

    Returns:
        The model, not trained.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> from keras_attn.models.presets import from_preset
    >>> model = from_preset("transformer_tiny", 19, 23, num_encoder_layers=1, num_decoder_layers=1)
    >>> model.get_config()["embedding_dim"]
    128
    """
    settings = {**preset_settings(name), **changes}
    family = FAMILIES[settings.pop("kind")]
    return family(source_vocabulary_size, target_vocabulary_size, **settings)


def preset_settings(name):
    """What a preset sets: `"kind"`, the family, and arguments of the family's class.

    Args:
        name: one of `PRESETS`.

    Returns:
        A new dictionary.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in PRESETS:
        near = get_close_matches(str(name), PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"`preset` is unknown. Expected one of {', '.join(sorted(PRESETS))}. Received: {name!r}.{hint}"
        )
    return dict(PRESETS[name])
