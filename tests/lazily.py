"""A dict whose values are made when somebody asks for them."""


class Lazily(dict):
    """What `make(key)` returns, made once a key: tests that are not run have nothing made for them.

    Args:
        make: a function of the key.
    """

    def __init__(self, make):
        super().__init__()
        self._make = make

    def __missing__(self, key):
        self[key] = self._make(key)
        return self[key]
