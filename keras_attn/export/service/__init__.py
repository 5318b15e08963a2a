"""The functions that an export serves, and their inputs and outputs."""
