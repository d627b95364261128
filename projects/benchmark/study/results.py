"""What is kept of finished runs: for each table a file of JSON lines, one for each run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mmdet3d_medical.utils.files import write_text

from .table import Run


@dataclass(frozen=True)
class Results:
    """Results by run, in a folder.

    Attributes:
        folder: It holds ``<table>.jsonl`` for each table.
    """

    folder: Path

    def file(self, run: Run) -> Path:
        """Where the result of a run is."""
        return self.folder / f'{run.setting.table}.jsonl'

    def find(self, run: Run) -> dict[str, Any] | None:
        """The result of a run; None if it is not finished."""
        return self._read(self.file(run)).get((run.setting.name, run.seed))

    def keep(self, run: Run, result: dict[str, Any]) -> None:
        """Add the result of a run, or replace it; several processes may do so at once."""
        path = self.file(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix('.lock')):
            results = self._read(path) | {(run.setting.name, run.seed): result}
            lines = [json.dumps(results[key], sort_keys=True) + '\n' for key in sorted(results)]
            write_text(path, ''.join(lines))

    def all(self) -> list[dict[str, Any]]:
        """Those of all tables."""
        return [
            line
            for path in sorted(self.folder.glob('*.jsonl'))
            for line in self._read(path).values()
        ]

    @staticmethod
    def _read(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
        lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
        results = map(json.loads, lines)
        return {(result['row'], result['seed']): result for result in results}
