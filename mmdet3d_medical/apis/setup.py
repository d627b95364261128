"""How runs and tests of one config are started, for tools that start several."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_json

from .config import load_config
from .options import spell_options


@dataclass(frozen=True)
class Setup:
    """A config, what changes it, and on what it runs.

    Attributes:
        path: The config.
        semi: Fragments that make it semi-supervised.
        options: Values to change in the config, by dotted key.
        shrink: Whether to make everything small.
        amp: Whether to train in mixed precision.
        seed: Of the training.
        processes: In which a run or test runs, one for each device.
        trust: Whether to read checkpoints that run code.
    """

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    semi: tuple[str, ...] = ()
    shrink: bool = False
    amp: bool = False
    seed: int | None = None
    processes: int = 1
    trust: bool = False

    @cached_property
    def config(self) -> Config:
        return load_config(self.path, options=dict(self.options), semi=self.semi, small=self.shrink)

    def train_command(self, work: Path, options: dict[str, Any]) -> list[str]:
        """Train without validation, or go on from the last checkpoint.

        Args:
            work: Folder of the training.
            options: Further values to change.
        """
        options = {**options, 'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}
        return [
            *self._program('train'),
            self.path,
            '--work-dir',
            str(work),
            '--resume',
            *['--amp'] * self.amp,
            *([] if self.seed is None else ['--seed', str(self.seed)]),
            *self._ending(options),
        ]

    def test_command(
        self, checkpoint: Path, work: Path, out: Path, options: dict[str, Any]
    ) -> list[str]:
        """Find marks.

        Args:
            checkpoint: Of the detector.
            work: Folder of the log.
            out: File of the marks.
            options: Further values to change.
        """
        return [
            *self._program('test'),
            self.path,
            str(checkpoint),
            '--work-dir',
            str(work),
            '--out',
            str(out),
            *self._ending(options),
        ]

    def _program(self, command: str) -> list[str]:
        several = (
            ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={self.processes}']
            if self.processes > 1
            else []
        )
        return [sys.executable, *several, '-m', 'mmdet3d_medical', command]

    def _ending(self, options: dict[str, Any]) -> list[str]:
        launcher = ['--launcher', 'pytorch'] if self.processes > 1 else []
        spelled = spell_options({**self.options, **options})
        return [
            *['--semi'] * bool(self.semi),
            *self.semi,
            *['--shrink'] * self.shrink,
            *['--trust-checkpoint'] * self.trust,
            *launcher,
            *['--cfg-options'] * bool(spelled),
            *spelled,
        ]

    def claim(self, note: Path, what: str, **more: Any) -> None:
        """Note what a folder is for, or refuse one where something else was begun.

        Args:
            note: File to write, in the folder.
            what: What it is the folder of, for the error.
            more: Further values that must not change.

        Raises:
            UsageError: Naming the folder and what differs.
        """
        settings = json.dumps(self.config.to_dict(), sort_keys=True, default=str)
        asked = dict(
            config=Path(self.path).name,
            options=spell_options(self.options),
            semi=list(self.semi),
            shrink=self.shrink,
            amp=self.amp,
            seed=self.seed,
            processes=self.processes,
            **more,
            settings=hashlib.sha256(settings.encode()).hexdigest()[:16],
        )
        made = _read(note) if note.is_file() else asked
        differ = [
            f'{key} {made.get(key)!r}, now {value!r}'
            for key, value in asked.items()
            if made.get(key) != value
        ]
        if differ:
            raise UsageError(
                f'{note.parent} is of another {what}: {"; ".join(differ)}. Restore '
                'the settings, or give another --work-dir'
            )
        write_json(note, asked)


def _read(note: Path) -> dict[str, Any]:
    try:
        made = json.loads(note.read_text(encoding='utf-8'))
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict):
        raise UsageError(
            f'{note} is damaged: it should say what the folder is for. Delete it if '
            'you know that, or give another --work-dir'
        )
    return made
