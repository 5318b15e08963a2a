"""Families of models by name: their classes, their arguments and their presets. Loads no Keras."""
