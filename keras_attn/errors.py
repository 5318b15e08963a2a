"""Base of the errors that a user can mend. Imports nothing."""


class UserError(Exception):
    """Input, data, settings or files that cannot be used.

    The message says what was expected, what was given and what to do. `keras-attn` prints it as one sentence;
    every other exception is a defect and keeps its traceback.
    """
