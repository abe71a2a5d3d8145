"""The one exception that reaches people as a line instead of a traceback."""


class Problem(Exception):
    """What is wrong, where, and what to type. The command line prints it and exits with 1."""
