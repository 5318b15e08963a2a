"""Scores of translations, and the metrics that can decide which epoch is the best."""

# Results of `corpus_scores` with their heading and format in reports. Higher is better.
SCORES = {"bleu": ("BLEU", ".2f"), "chrf": ("chrF", ".2f"), "exact_match": ("exact match", ".2%")}
# Scores of decoded validation pairs.
DECODED = tuple(f"val_{name}" for name in SCORES)
MONITORS = ("val_loss", "val_perplexity", *DECODED)
