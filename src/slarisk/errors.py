"""Errors that a person can act on.

The commands turn them into one line on standard error and an exit code; everything else is a bug
and keeps its traceback.
"""


class InputError(Exception):
    """The user's data or config is wrong (exit code 2).

    The message names the file, row, column or key, and says what to do.
    """


class StoreError(InputError):
    """The MLflow store does not answer, or cannot be written: what was to be logged was not."""


class Refused(Exception):
    """A gate said no (exit code 1). The message lists every reason."""
