"""Error of a run folder."""

from keras_attn.errors import UserError


class RunError(UserError, ValueError):
    """A run folder that cannot be used as asked; the message says why and what to do."""
