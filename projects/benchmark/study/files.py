"""Files that people write, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mmdet3d_medical.utils.errors import UsageError


def load_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        UsageError: If there is no such file or it is not YAML.
    """
    if not path.is_file():
        raise UsageError(f'there is no {path} (looked in {Path.cwd()})')
    try:
        return yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise UsageError(f'{path} is not valid YAML: {error}') from None


def check_keys(node: Any, known: set[str], needed: set[str], where: str) -> None:
    """Refuse what is no mapping, or has other keys than are known or needed.

    Raises:
        UsageError: Beginning with ``where``.
    """
    if not isinstance(node, dict):
        raise UsageError(f'{where}: expected the keys {sorted(needed)}, found {node!r}')
    unknown, missing = sorted(set(node) - known, key=str), sorted(needed - set(node))
    if unknown:
        raise UsageError(f'{where}: {unknown} are not known, expected some of {sorted(known)}')
    if missing:
        raise UsageError(f'{where}: {missing} are missing')
