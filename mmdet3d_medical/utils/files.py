"""Files that a reader finds whole, the old one or the new one, whenever the writer is stopped."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file, whole or not at all; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    scratch.write_text(text)
    os.replace(scratch, path)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write JSON with sorted keys, whole or not at all; its folder is made."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + '\n')


def check_writable(path: str | os.PathLike) -> None:
    """Try whether a file can be written, before the work whose result it gets; its folder is made.

    Raises:
        OSError: Naming the file, if it is a folder or cannot be written. An old file stays as it
            is.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder, expected the name of a file to write')
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f'{path} cannot be written')
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def in_progress(path: Path) -> Path:
    """What a file is called while another program writes it, to be renamed when it is whole."""
    return path.with_name(f'unfinished_{path.name}')
