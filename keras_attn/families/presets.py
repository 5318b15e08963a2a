"""Models of published papers, by name: settings only."""

from difflib import get_close_matches
from typing import Any

_BAHDANAU = {
    "kind": "recurrent",
    "embedding_dim": 620,
    "units": 1000,
    "readout": "maxout",
    "readout_units": 500,
}
_LUONG = {
    "kind": "recurrent",
    "cell": "lstm",
    "embedding_dim": 1000,
    "units": 1000,
    "dropout": 0.2,
    "num_encoder_layers": 4,
    "num_decoder_layers": 4,
    "bidirectional": False,
    "bridge": "copy",
    "score": "general",
    "input_feeding": True,
    "attention_vector_units": 1000,
    "readout": None,
}
RECURRENT_PRESETS = {
    "cho_2014": {**_BAHDANAU, "attention": None, "bidirectional": False},
    "bahdanau_2015": {**_BAHDANAU, "attention": "bahdanau", "attention_units": 1000},
    "luong_2015": {**_LUONG, "attention": "luong"},
    "luong_2015_local": {**_LUONG, "attention": "luong_local", "window": 10},
}


_EN_RO = [(512, 3)] * 20
_EN_DE = [(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2
_EN_FR = [(512, 3)] * 6 + [(768, 3)] * 4 + [(1024, 3)] * 3 + [(2048, 1), (4096, 1)]

CONVOLUTIONAL_PRESETS = {
    "convs2s_iwslt_de_en": {
        "kind": "convolutional",
        "embedding_dim": 256,
        "encoder_convolutions": [(256, 3)] * 4,
        "decoder_convolutions": [(256, 3)] * 3,
        "output_dim": 256,
        "dropout": 0.2,
        "weight_normalization": True,
    },
    "convs2s_wmt_en_ro": {
        "kind": "convolutional",
        "embedding_dim": 512,
        "encoder_convolutions": _EN_RO,
        "decoder_convolutions": _EN_RO,
        "output_dim": 512,
        "dropout": 0.2,
        "weight_normalization": True,
    },
    "convs2s_wmt_en_de": {
        "kind": "convolutional",
        "embedding_dim": 768,
        "encoder_convolutions": _EN_DE,
        "decoder_convolutions": _EN_DE,
        "output_dim": 512,
        "dropout": 0.2,
        "weight_normalization": True,
    },
    "convs2s_wmt_en_fr": {
        "kind": "convolutional",
        "embedding_dim": 768,
        "encoder_convolutions": _EN_FR,
        "decoder_convolutions": _EN_FR,
        "output_dim": 512,
        "dropout": 0.1,
        "weight_normalization": True,
    },
}


TRANSFORMER_PRESETS = {
    "transformer_tiny": {
        "kind": "transformer",
        "num_encoder_layers": 4,
        "num_decoder_layers": 4,
        "embedding_dim": 128,
        "num_heads": 4,
        "hidden_dim": 256,
        "dropout": 0.3,
        "share_embeddings": "target",
    },
    "transformer_small": {
        "kind": "transformer",
        "num_encoder_layers": 3,
        "num_decoder_layers": 3,
        "embedding_dim": 256,
        "num_heads": 4,
        "hidden_dim": 1024,
        "dropout": 0.1,
        "share_embeddings": "target",
    },
    "transformer_base": {
        "kind": "transformer",
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "embedding_dim": 512,
        "num_heads": 8,
        "hidden_dim": 2048,
        "dropout": 0.1,
        "share_embeddings": "all",
    },
    "transformer_big": {
        "kind": "transformer",
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "embedding_dim": 1024,
        "num_heads": 16,
        "hidden_dim": 4096,
        "dropout": 0.3,
        "share_embeddings": "all",
    },
}


PRESETS: dict[str, dict[str, Any]] = {**CONVOLUTIONAL_PRESETS, **RECURRENT_PRESETS, **TRANSFORMER_PRESETS}


def preset_settings(name: str) -> dict[str, Any]:
    """The settings of a preset: `"kind"`, the family, and arguments of the family's class.

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
