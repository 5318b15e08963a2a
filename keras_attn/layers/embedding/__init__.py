"""Token embeddings, and absolute and relative positions."""
