"""Recurrent cells and layers that attend to a memory at every step."""
