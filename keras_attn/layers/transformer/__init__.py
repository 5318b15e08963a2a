"""Blocks of the Transformer and the sublayers that they consist of."""
