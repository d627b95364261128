"""Errors of the command line tools."""

import sys
from collections.abc import Callable


class UsageError(Exception):
    """Something the user can put right; the message says what and how."""


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; what its user can put right ends it with a message, not with a traceback.

    That is a :class:`UsageError`, a file that is missing and a loss that is not finite. The exit
    status is then 2.
    """
    try:
        main()
    except (UsageError, FileNotFoundError, FloatingPointError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
