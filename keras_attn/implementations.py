"""What each implementation of `MultiHeadAttention` can do, and what it refuses."""

from keras_attn.shapes import check_count

IMPLEMENTATIONS = ("full", "blockwise", "windowed")


def check_options(implementation, dropout=0.0, relative_positions=None, window=None):
    """Refuses options of a constructor that do not go together; arguments as of `MultiHeadAttention`."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f"`implementation` is unknown. Expected one of {IMPLEMENTATIONS}. "
            f"Received: implementation={implementation!r}."
        )
    if implementation == "windowed":
        check_count("window", window)
    elif window is not None:
        raise ValueError(
            "`window` is for windowed attention alone. Expected None with "
            f"implementation={implementation!r}. Received: window={window!r}. Give implementation='windowed'."
        )
    if implementation == "blockwise" and dropout:
        raise ValueError(
            "Blockwise attention keeps no weights that could be dropped. Expected dropout=0. "
            f"Received: dropout={dropout}. Drop the layer's output, or use implementation='full'."
        )
    if implementation == "blockwise" and getattr(relative_positions, "learned", False):
        raise ValueError(
            "The written-out gradient of blockwise attention does not reach learned `relative_positions`. "
            "Expected RotaryPositions or ALiBiPositions. Received: "
            f"relative_positions={relative_positions}. Change it, or use implementation='full'."
        )


def check_call(implementation, attention_mask=None, return_attention_scores=False):
    """Refuses arguments of a call that would need all weights at once."""
    if implementation == "full":
        return
    if return_attention_scores:
        raise ValueError(
            f"The weights never exist as a whole in {implementation} attention. Expected "
            "return_attention_scores=False. Received: return_attention_scores=True. "
            "Use implementation='full' to see them."
        )
    if attention_mask is not None:
        raise ValueError(
            f"`attention_mask` is as large as the weights that {implementation} attention avoids. "
            f"Expected None. Received: a mask of shape {tuple(attention_mask.shape)}. "
            "Give `value_mask` and `use_causal_mask`, or use implementation='full'."
        )
