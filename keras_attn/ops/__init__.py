"""Functions of `keras.ops` that the layers are made of."""
