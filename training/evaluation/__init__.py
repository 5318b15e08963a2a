"""Metrics of a trained model on held-out pairs."""
