"""What the caller can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Something given from outside is wrong; the message names the value and the remedy.

    Commands print it as one line and end with exit status 2; the HTTP edge answers 4xx.
    """


class CatalogueError(InputError):
    """A catalogue file breaks a rule; the message starts with ``file:line: field:``."""
