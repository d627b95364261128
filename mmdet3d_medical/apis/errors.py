"""Errors of the command line tools."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmengine.registry import build_functions

from .processes import leave

PACKAGE = Path(__file__).parents[1]
REGISTRY = Path(build_functions.__file__)
FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError,
               PermissionError)


class UsageError(Exception):
    """Something the user can put right; the message says what and how."""


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; what its user can put right ends it with a message, not with a traceback.

    That is a :class:`UsageError`, a file that is missing or in the way, a loss that is not finite,
    a ``ValueError``, ``TypeError`` or ``OSError`` that this package raised on purpose, about data,
    a config or a full disk, and a name in a config that is not registered. The exit status is then
    2.
    """
    try:
        main()
    except (UsageError, FloatingPointError, *FILE_ERRORS) as error:
        _stop(error)
    except (ValueError, TypeError, KeyError, OSError) as error:
        if not _raised_on_purpose(error):
            raise
        _stop(error)
    leave()


def _stop(error: Exception) -> None:
    # A KeyError as a string is the repr of its message.
    message = error.args[0] if isinstance(error, KeyError) else error
    print(f'error: {message}', file=sys.stderr)
    sys.exit(2)


def _raised_on_purpose(error: Exception) -> bool:
    """Whether a ``raise`` statement of this package or of mmengine's registry gave the error."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    file = Path(last.filename)
    return (PACKAGE in file.parents or file == REGISTRY) and (last.line or '').startswith('raise ')
