"""Attention layers for Keras 3, assembled into text-to-text models that train, export and serve."""

__version__ = "0.1.0"
