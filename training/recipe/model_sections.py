"""The `[model]` section of a recipe: one section for each family of models, told apart by `kind`.

The fields are the arguments of the family's class in `keras_attn.models`, without the vocabularies.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras_attn.training.recipe.section import RecipeError, Section, option, value_text

NONE = "none"  # TOML has no null


class ModelSection(Section):
    """What the families share."""

    def settings(self) -> dict[str, Any]:
        """The arguments of the model's class, without the vocabularies."""
        values = {name: value for name, value in asdict(self).items() if name != "kind"}
        return values | {name: None for name in ("attention", "readout") if values.get(name) == NONE}


@dataclass(frozen=True, kw_only=True)
class RecurrentModel(ModelSection):
    """`kind = "recurrent"`: a `RecurrentSeq2Seq`."""

    kind: str = option("recurrent", choices=("recurrent",))
    embedding_dim: int = option(256, minimum=1)
    units: int = option(256, minimum=1)
    attention_units: int = option(256, minimum=1)
    dropout: float = option(0.2, minimum=0, below=1)
    cell: str = option("gru", choices=("gru", "lstm"))
    num_encoder_layers: int = option(1, minimum=1)
    num_decoder_layers: int = option(1, minimum=1)
    bidirectional: bool = option(True)
    residual: bool = option(False)
    bridge: str = option("dense", choices=("dense", "copy", "zero"))
    attention: str = option("bahdanau", choices=("bahdanau", "luong", "luong_local", NONE))
    score: str = option("general", choices=("dot", "general", "concat"))
    order: str | None = option(None, choices=("bahdanau", "luong"))
    window: int = option(10, minimum=1)  # half of Luong's local attention
    normalize: bool = option(False)
    input_feeding: bool = option(False)
    attention_vector_units: int | None = option(None, minimum=1)
    readout: str = option("tanh", choices=("tanh", "maxout", NONE))
    readout_units: int | None = option(None, minimum=1)
    tie_target_embedding: bool = option(False)


@dataclass(frozen=True, kw_only=True)
class ConvolutionalModel(ModelSection):
    """`kind = "convolutional"`: a `ConvolutionalSeq2Seq`; a layer is `[filters, kernel_size]`."""

    kind: str = option("convolutional", choices=("convolutional",))
    embedding_dim: int = option(256, minimum=1)
    encoder_convolutions: tuple = option(((256, 3),) * 4)
    decoder_convolutions: tuple = option(((256, 3),) * 3)
    output_dim: int | None = option(None, minimum=1)
    dropout: float = option(0.2, minimum=0, below=1)
    max_source_length: int = option(1024, minimum=1)
    max_target_length: int = option(1024, minimum=1)
    weight_normalization: bool = option(False)
    tie_target_embedding: bool = option(False)
    decoder_attention: bool | tuple = option(True)  # or [true, false, ...], one a layer of the decoder

    def check(self) -> None:
        """Holds that every layer is a number of filters and a kernel size, and that some of them attend."""
        for name in ("encoder_convolutions", "decoder_convolutions"):
            for layer in getattr(self, name) or (None,):
                if not isinstance(layer, tuple) or [type(x) for x in layer] != [int, int] or min(layer) < 1:
                    raise RecipeError(
                        "must hold at least one layer. Expected [filters, kernel_size] for each, such as "
                        f"[[256, 3], [256, 3]]. Received: {layer!r}.",
                        name,
                    )
        self._check_attention()

    def _check_attention(self) -> None:
        attention, num_layers = self.decoder_attention, len(self.decoder_convolutions)
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


@dataclass(frozen=True, kw_only=True)
class SelfAttentiveModel(ModelSection):
    """What both kinds of Transformer take."""

    embedding_dim: int = option(256, minimum=1)
    num_heads: int = option(4, minimum=1)
    hidden_dim: int = option(1024, minimum=1)
    dropout: float = option(0.1, minimum=0, below=1)
    attention_dropout: float = option(0.0, minimum=0, below=1)
    activation_dropout: float = option(0.0, minimum=0, below=1)
    layer_drop: float = option(0.0, minimum=0, below=1)
    activation: str = option("relu", choices=("relu", "gelu", "silu"))
    positions: str = option("sinusoidal", choices=("sinusoidal", "learned", "shaw", "t5", "alibi", "rotary"))
    # Of the scheme's class, such as { max_length = 2048 }.
    position_options: dict | None = option(None)  # noqa: RUF009 - the default is None
    embedding_scale: bool = option(True)
    output_bias: bool = option(False)
    num_key_value_heads: int | None = option(None, minimum=1)
    implementation: str = option("full", choices=("full", "blockwise", "windowed"))
    window: int | None = option(None, minimum=1)  # of the windowed self-attention
    alignment_layer: int = option(-1)
    alignment_heads: tuple | None = option(None)

    def check(self) -> None:
        """Holds that the width can be shared out among the heads, and that what is windowed has a window."""
        if (self.window is not None) != (self.implementation == "windowed"):
            raise RecipeError(
                'goes with `implementation` = "windowed". Expected both or neither. Received: '
                f"{self.window} and {value_text(self.implementation)}.",
                "window",
            )
        if self.embedding_dim % self.num_heads:
            raise RecipeError(
                f"must be a multiple of `num_heads` = {self.num_heads}. Received: {self.embedding_dim}.",
                "embedding_dim",
            )


@dataclass(frozen=True, kw_only=True)
class TransformerModel(SelfAttentiveModel):
    """`kind = "transformer"`: a `TransformerSeq2Seq`."""

    kind: str = option("transformer", choices=("transformer",))
    num_encoder_layers: int = option(3, minimum=1)
    num_decoder_layers: int = option(3, minimum=1)
    norm_first: bool = option(False)
    share_embeddings: str = option("target", choices=(NONE, "inputs", "target", "all"))


@dataclass(frozen=True, kw_only=True)
class LanguageModel(SelfAttentiveModel):
    """`kind = "language_model"`: a `TransformerLanguageModel`, which reads the source, then the target."""

    kind: str = option("language_model", choices=("language_model",))
    num_layers: int = option(6, minimum=1)
    norm_first: bool = option(True)
    share_embeddings: str = option("target", choices=(NONE, "target"))


AnyModel = RecurrentModel | ConvolutionalModel | TransformerModel | LanguageModel


def with_preset(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `[model]` table with the preset that it names written out; its own values stand above it.

    >>> with_preset({"preset": "transformer_tiny", "dropout": 0.1})["dropout"]
    0.1
    """
    from keras_attn.models.presets import preset_settings  # loads TensorFlow, which few recipes need for this

    table = dict(table)
    try:
        preset = preset_settings(table.pop("preset"))
    except ValueError as error:
        raise RecipeError(str(error).removeprefix("`preset` "), "preset") from None
    return {name: NONE if value is None else value for name, value in preset.items()} | table
