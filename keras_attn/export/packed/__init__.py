"""Transformers whose products of weights are computed once, at export."""
