"""Sizes of recurrent models as their papers have them.

`cho_2014` and `bahdanau_2015` are RNNencdec and RNNsearch of Bahdanau et al. 2015, appendix A and B.1 (the
former without attention, after Cho et al. 2014); both with 30,000 words a side. `luong_2015` is Luong et al.
2015, section 4.1, with the global "general" attention, `luong_2015_local` with local-p; 50,000 words a side.
"""

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
