"""What a scan may be called.

An id becomes a file name, a line of a list, a cell of a table and an argument of a command. So it
must be a name in all of these: no path, no formula of a spreadsheet, no two lines.
"""

from __future__ import annotations

MAX_BYTES = 200  # of a file name's 255, for what is put before and behind
HEADING = 'seriesuid'  # of the column of ids, which lists may begin with
FORBIDDEN = '/\\,;"'  # part folders, cells and quotations
FORMULA = '=+-@'  # a spreadsheet runs what begins so


def check_scan_id(scan_id: str) -> str:
    """The id itself, if it may be one.

    Raises:
        ValueError: Saying what is wrong with it.
    """
    reason = refusal(scan_id)
    if reason:
        raise ValueError(
            f'{scan_id[:MAX_BYTES]!r} is no name for a scan: it {reason}. Rename the file that it '
            'comes from'
        )
    return scan_id


def refusal(scan_id: str) -> str | None:
    """Why a scan may not be called so; ``None`` if it may."""
    if not scan_id or scan_id in ('.', '..', HEADING):
        return 'must be a non-empty name'
    if not scan_id.isprintable():
        return 'holds a character that cannot be printed'
    if ' '.join(scan_id.split()) != scan_id:
        return 'begins or ends with a blank, or holds two in a row'
    if scan_id[0] in FORMULA:
        return f'begins with {scan_id[0]}, as a formula does'
    found = [mark for mark in FORBIDDEN if mark in scan_id]
    if found:
        return f'holds {" ".join(found)}'
    if len(scan_id.encode()) > MAX_BYTES:
        return f'is longer than {MAX_BYTES} bytes'
    return None
