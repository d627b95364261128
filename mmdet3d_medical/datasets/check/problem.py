"""What a check finds."""

from typing import NamedTuple

ERROR, WARNING = 'error', 'warning'


class Problem(NamedTuple):
    """Something wrong: how bad, with which scan ('' for the data set), what, and of which kind."""

    level: str
    scan_id: str
    message: str
    kind: str
