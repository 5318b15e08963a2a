"""Readers, cleaning and splits of text pairs."""
