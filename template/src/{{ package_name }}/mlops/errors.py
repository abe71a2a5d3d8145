"""The exception that is shown as one line instead of a traceback."""


class Problem(Exception):
    """What is wrong, where, and what to type. The command line prints it and exits with 1."""
