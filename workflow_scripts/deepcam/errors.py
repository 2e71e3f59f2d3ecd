"""The error that bad input raises."""


class InputError(Exception):
    """Bad input. Its message is one line that says what is wrong, where, and what to do."""
