"""Checks that an export computes what its model computes."""
