"""Attention over a memory, one query at a time or all at once."""
