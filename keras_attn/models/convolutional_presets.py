"""Sizes of ConvS2S by the pair of languages that they were made for.

The WMT ones are those of Gehring et al. 2017, section 4.2; the one for IWSLT is fairseq's
`fconv_iwslt_de_en`.
"""

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
