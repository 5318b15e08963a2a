"""What each implementation of `MultiHeadAttention` can do, and what it refuses."""

from keras_attn.checks.sizes import check_count

IMPLEMENTATIONS = ("full", "blockwise", "windowed")


def check_options(implementation, dropout=0.0, window=None):
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


def check_call(implementation, return_attention_scores=False):
    """Refuses a call that would need all weights at once."""
    if implementation == "full":
        return
    if return_attention_scores:
        raise ValueError(
            f"The weights never exist as a whole in {implementation} attention. Expected "
            "return_attention_scores=False. Received: return_attention_scores=True. "
            "Use implementation='full' to see them."
        )
