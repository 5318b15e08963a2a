"""Sizes of Transformers by the names that papers and other systems gave them.

`base` and `big` are those of Vaswani et al. 2017, table 3; `tiny` is what fairseq's users train on the 29,000
pairs of Multi30k (Wu et al., "Good for Misconceived Reasons", ACL 2021); `small` lies between.
"""

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
