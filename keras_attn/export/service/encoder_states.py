"""The states that an encoder leaves, whatever the family of the model."""


def encoder_states(model, source):
    """The encoder's states of source ids.

    Args:
        model: a decoder with an `encode(source)` that returns what this function does, as every model of
            `keras_attn.models` and `PackedTransformer` have.
        source: int32 ids `[B, S]`, padded with 0.

    Returns:
        states `[B, S, D]` and their mask, boolean `[B, S]`, True = keep. A recurrent model without attention
        has one state, S = 1. A language model has no encoder: what its last block gives for the prompt.

    Raises:
        TypeError: for another model.
    """
    if has_encoder_states(model):
        return model.encode(source)
    raise TypeError(
        "`model` does not say what its encoder leaves. Expected a method `encode(source)` that returns "
        f"states [B, S, D] and their mask [B, S]. Received: {model!r}. Add one."
    )


def has_encoder_states(model):
    """Whether the model has an `encode` to ask."""
    return callable(getattr(model, "encode", None))
