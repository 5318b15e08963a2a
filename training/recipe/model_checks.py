"""Checks of a `[model]` section's fields against each other, before any model is made."""

from typing import Any

from keras_attn.training.recipe.section import RecipeError, value_text


def check_convolutions(section: Any) -> None:
    """Checks that every layer is `[filters, kernel_size]`, and that some layer of the decoder attends.

    Args:
        section: of a `ConvolutionalSeq2Seq`.

    Raises:
        RecipeError: otherwise.
    """
    for name in ("encoder_convolutions", "decoder_convolutions"):
        for layer in getattr(section, name) or (None,):
            if not isinstance(layer, tuple) or [type(x) for x in layer] != [int, int] or min(layer) < 1:
                raise RecipeError(
                    "must hold at least one layer. Expected [filters, kernel_size] for each, such as "
                    f"[[256, 3], [256, 3]]. Received: {layer!r}.",
                    name,
                )
    attention, num_layers = section.decoder_attention, len(section.decoder_convolutions)
    if attention is True:
        return
    chosen = attention or ()
    if len(chosen) != num_layers or {type(x) for x in chosen} != {bool} or not any(chosen):
        raise RecipeError(
            f"must say which layers of the decoder attend. Expected true, or {num_layers} of true and "
            "false, one a layer of `decoder_convolutions`, not all false. "
            f"Received: {value_text(attention)}.",
            "decoder_attention",
        )


def check_self_attention(section: Any) -> None:
    """Checks that the heads divide the width, and that windowed attention has a window.

    Args:
        section: of a `TransformerSeq2Seq` or a `TransformerLanguageModel`.

    Raises:
        RecipeError: otherwise.
    """
    if (section.window is not None) != (section.implementation == "windowed"):
        raise RecipeError(
            'goes with `implementation` = "windowed". Expected both or neither. Received: '
            f"{section.window} and {value_text(section.implementation)}.",
            "window",
        )
    if section.embedding_dim % section.num_heads:
        raise RecipeError(
            f"must be a multiple of `num_heads` = {section.num_heads}. Received: {section.embedding_dim}.",
            "embedding_dim",
        )
