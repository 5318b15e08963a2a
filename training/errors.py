"""What a run folder cannot do."""


class RunError(ValueError):
    """A run folder that cannot be used as asked; the message says why and what to do."""
