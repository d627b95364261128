"""Errors that users can put right."""


class UsageError(Exception):
    """Something the user can put right; the message says what and how."""
