"""Models, optimizers and batches made from a recipe."""
