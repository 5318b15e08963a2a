"""Processors of next-token logits."""
