"""Show reports: ``python -m mmdet3d_medical.inference.report.opening REPORT...``.

They are named, and where somebody sits at a screen, the first one opens in the browser.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

SCREENS = ('DISPLAY', 'WAYLAND_DISPLAY')


def has_screen() -> bool:
    """Whether a browser can open, and somebody would see it: not in CI, a pipe, or by plain SSH."""
    own = sys.platform in ('darwin', 'win32') and 'SSH_CONNECTION' not in os.environ
    return (
        sys.stdout.isatty()
        and not os.environ.get('CI')
        and (own or any(map(os.environ.get, SCREENS)))
    )


def show(paths: Sequence[str | Path]) -> None:
    """Name reports, and open the first one where there is a screen."""
    for path in paths:
        print(f'report of the scan:     {path}', flush=True)
    if paths and has_screen():
        webbrowser.open(Path(paths[0]).resolve().as_uri())


if __name__ == '__main__':
    show(sys.argv[1:])
