"""Parts of the encoder-decoder and the decoder-only Transformer, from their settings."""

from typing import Any, TypeAlias

import keras
from keras import ops

from keras_attn.layers.embedding.token_embedding import TokenEmbedding
from keras_attn.layers.transformer.layer_drop import LayerDrop
from keras_attn.layers.transformer.layer_normalization import LayerNormalization
from keras_attn.models.position_schemes import absolute_positions, relative_positions
from keras_attn.typing import Tensor

Settings: TypeAlias = dict[str, Any]
_OF_A_BLOCK = (
    "num_heads",
    "hidden_dim",
    "activation",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "norm_first",
    "num_key_value_heads",
    "implementation",
    "window",
    "dtype",
)


def serializable_settings(settings: Settings) -> Settings:
    """Brings the settings into the form that the configuration holds.

    Args:
        settings: all arguments of a Transformer, by name.

    Returns:
        The settings, with the activation by its name and a dictionary of the positions' options.
    """
    activation = keras.activations.serialize(keras.activations.get(settings["activation"]))
    options = dict(settings["position_options"] or {})
    return {**settings, "activation": activation, "position_options": options}


def make_embedding(
    settings: Settings, vocabulary_size: int, name: str, with_logits: bool = False
) -> TokenEmbedding:
    """Makes a table of tokens; `with_logits` if it computes the logits too."""
    return TokenEmbedding(
        vocabulary_size,
        settings["embedding_dim"],
        scale=settings["embedding_scale"],
        use_bias=with_logits and settings["output_bias"],
        dtype=settings["dtype"],
        name=name,
    )


def make_logits(settings: Settings, vocabulary_size: int) -> keras.layers.Layer:
    """Makes the output layer of a model without a shared table: N(0, 1 / D) at first, as the tables."""
    return keras.layers.Dense(
        vocabulary_size,
        use_bias=settings["output_bias"],
        kernel_initializer=keras.initializers.RandomNormal(stddev=settings["embedding_dim"] ** -0.5),
        dtype="float32",  # whatever the policy: log-probabilities are made of these
        name="logits",
    )


def make_positions(settings: Settings, name: str) -> keras.layers.Layer | None:
    """Makes the layer that adds absolute positions, or None."""
    return absolute_positions(
        settings["positions"],
        settings["position_options"],
        settings["embedding_dim"],
        dtype=settings["dtype"],
        name=name,
    )


def make_blocks(block_class: Any, settings: Settings, num_layers: int, name: str, causal: bool) -> list[Any]:
    """Makes the blocks of a stack, `name_0`, `name_1`, ..."""
    schemes = relative_positions(
        settings["positions"], settings["position_options"], num_layers, causal, dtype=settings["dtype"]
    )
    of_a_block = {key: settings[key] for key in _OF_A_BLOCK}
    return [
        block_class(**of_a_block, relative_positions=scheme, name=f"{name}_{layer}")
        for layer, scheme in enumerate(schemes)
    ]


def make_drops(settings: Settings, num_layers: int, name: str) -> list[LayerDrop | None]:
    """Makes the `LayerDrop` of each block, `name_0`, ...; None for each without `layer_drop`."""
    rate = settings["layer_drop"]
    if not rate:
        return [None] * num_layers
    return [LayerDrop(rate, dtype=settings["dtype"], name=f"{name}_{layer}") for layer in range(num_layers)]


def run_blocks(
    blocks: list[Any], drops: list[LayerDrop | None], hidden: Tensor, *arguments: Any, **options: Any
) -> Tensor:
    """Runs a stack.

    Args:
        blocks: its blocks.
        drops: what `make_drops` made for them.
        hidden: `[B, T, D]`.
        *arguments: what every block is given after it.
        **options: by name, likewise.

    Returns:
        `[B, T, D]`.
    """
    for block, drop in zip(blocks, drops, strict=True):
        outputs = block(hidden, *arguments, **options)
        hidden = outputs if drop is None else drop(hidden, outputs)
    return hidden


def make_norm(settings: Settings, name: str) -> LayerNormalization | None:
    """Makes the normalisation after a stack of pre-norm blocks; None after one of post-norm blocks."""
    if not settings["norm_first"]:
        return None
    return LayerNormalization(epsilon=1e-5, dtype=settings["dtype"], name=name)


def check_alignment(settings: Settings, num_layers: int) -> None:
    """Checks that the model has the layer and the heads of the alignment."""
    layer, heads, num_heads = (settings[x] for x in ("alignment_layer", "alignment_heads", "num_heads"))
    if not -num_layers <= layer < num_layers:
        raise ValueError(
            f"`alignment_layer` must be one of the layers. Expected {-num_layers} to {num_layers - 1}. "
            f"Received: alignment_layer={layer!r}."
        )
    if heads is not None and (not heads or not all(head in range(num_heads) for head in heads)):
        raise ValueError(
            f"`alignment_heads` must be some of the heads. Expected None or a list of numbers from 0 to "
            f"{num_heads - 1}. Received: alignment_heads={heads!r}."
        )


def sized_cache(block: Any, cache: dict[str, Tensor]) -> dict[str, Tensor]:
    """Restores the static sizes that a loop with a growing time axis may have forgotten.

    Args:
        block: a built block.
        cache: leaves `[B, K, Hkv, t, E]`.

    Returns:
        The same, Hkv and E known.
    """
    attention = block.self_attention.sublayer
    sizes = {"keys": attention.key_dim, "values": attention.value_dim}
    return {name: _sized(leaf, attention.num_key_value_heads, sizes[name]) for name, leaf in cache.items()}


def rewound(blocks: list[Any], extended: dict[str, Any], count: Tensor) -> list[Any]:
    """Drops the last of the tokens that a model's `extend` was given from its caches.

    Args:
        blocks: the built blocks of the decoder.
        extended: a dictionary of `"caches"`, one a block, and `"num_tokens"`, n.
        count: how many of the n tokens stay.

    Returns:
        A list of one cache for each block.
    """
    dropped = extended["num_tokens"] - count
    return [block.rewind(cache, dropped) for block, cache in zip(blocks, extended["caches"], strict=True)]


def _sized(leaf, num_heads, width):
    if None not in (leaf.shape[2], leaf.shape[4]):
        return leaf
    batch, hypotheses, _, length, _ = ops.shape(leaf)
    return ops.reshape(leaf, (batch, hypotheses, num_heads, length, width))


def alignment_of(settings: Settings, weights: list[Tensor]) -> Tensor:
    """Averages the weights over the chosen heads of the chosen layer.

    Args:
        settings: of the model.
        weights: the weights `[B, H, K, S]`, or `[B, H, K, n, S]`, of every layer.

    Returns:
        `[B, K, S]`, or `[B, K, n, S]`.
    """
    weights = weights[settings["alignment_layer"]]
    if settings["alignment_heads"] is not None:
        weights = ops.take(weights, ops.convert_to_tensor(settings["alignment_heads"]), axis=1)
    return ops.mean(weights, axis=1)
