"""Requests that are run together."""
