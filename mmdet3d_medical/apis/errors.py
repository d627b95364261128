"""Errors of the command line tools."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


class UsageError(Exception):
    """Something the user can put right; the message says what and how."""


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; what its user can put right ends it with a message, not with a traceback.

    That is a :class:`UsageError`, a file that is missing, a loss that is not finite, and a
    ``ValueError`` or ``TypeError`` that this package raised on purpose, about data or a config.
    The exit status is then 2.
    """
    try:
        main()
    except (UsageError, FileNotFoundError, FloatingPointError) as error:
        _stop(error)
    except (ValueError, TypeError) as error:
        if not _raised_on_purpose(error):
            raise
        _stop(error)


def _stop(error: Exception) -> None:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)


def _raised_on_purpose(error: Exception) -> bool:
    """Whether the error comes from a ``raise`` statement of this package, not from a library."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return PACKAGE in Path(last.filename).parents and (last.line or '').startswith('raise ')
