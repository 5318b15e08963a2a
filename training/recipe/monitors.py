"""Metrics that can decide which epoch is the best."""

DECODED = ("val_bleu", "val_chrf", "val_exact_match")  # higher is better; measured by decoding
MONITORS = ("val_loss", "val_perplexity", *DECODED)
