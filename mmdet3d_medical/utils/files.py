"""Files that a reader finds whole, the old one or the new one, whenever the writer is stopped."""

from __future__ import annotations

import json
import os
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


def in_progress(path: Path) -> Path:
    """What a file is called while another program writes it, to be renamed when it is whole."""
    return path.with_name(f'unfinished_{path.name}')
