"""Checks of arguments, masks and models."""
