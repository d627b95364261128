"""Checkpoints that are whole, whenever a run is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from mmdet3d_medical.registry import HOOKS
from mmdet3d_medical.utils.files import write_bytes

BACKEND = 'whole_files'


@register_backend(BACKEND, force=True)
class WholeFileBackend(LocalBackend):
    """Local files, of which a reader finds the old content or the new one."""

    def __init__(self) -> None:
        self._outdated: list[str | Path] | None = None

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; a link in its place is replaced, not what it points to."""
        if Path(filepath).is_symlink():
            Path(filepath).unlink()
        write_bytes(filepath, obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file, or note it to be removed; it may be gone, where a folder was copied."""
        if self._outdated is None:
            Path(filepath).unlink(missing_ok=True)
        else:
            self._outdated.append(filepath)

    def rmtree(self, dir_path: str | Path) -> None:
        """Leave a folder alone: none of our checkpoints is one."""

    @contextmanager
    def removing_last(self) -> Iterator[None]:
        """Remove files at the end of the outermost block; on an error in it they stay."""
        outdated, before = [], self._outdated
        self._outdated = outdated
        try:
            yield
        finally:
            self._outdated = before
        for path in outdated:
            self.remove(path)


def _keep_to_names(hub: MessageHub) -> None:
    """Steps of checkpoints to keep are numbers: other values could name files elsewhere."""
    steps = hub.runtime_info.get('keep_ckpt_ids')
    if steps is not None:
        numbers = steps if isinstance(steps, (list, tuple)) else []
        hub.update_info('keep_ckpt_ids', [step for step in numbers if type(step) is int])


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, for runs that may be killed while they save.

    A checkpoint is written under another name first, and an older one, or one that was the best
    before, goes when the new one is there: mmengine's hook removes first and writes in place, so
    that with ``max_keep_ckpts=1`` or a full disk none is left. A validation without the score that
    ``save_best`` names, such as CPM where no scan has a lesion, is warned of and the training goes
    on: mmengine's hook ends it. Arguments are those of mmengine's; with ``backend_args`` or a
    remote ``out_dir`` it saves as mmengine's does.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose how to write, and take over what a resumed training says of its checkpoints."""
        own = self.backend_args is None and '://' not in str(self.out_dir)
        if own:
            self.backend_args = dict(backend=BACKEND)
            _keep_to_names(runner.message_hub)
        super().before_train(runner)
        if own:
            self._move_best_here()

    def _move_best_here(self) -> None:
        """Of the best checkpoint take the name: the folder may be a copy of the one it names."""
        if getattr(self, 'best_ckpt_path', None) is not None:
            self.best_ckpt_path = self._here(self.best_ckpt_path)
        for metric, path in getattr(self, 'best_ckpt_path_dict', {}).items():
            self.best_ckpt_path_dict[metric] = self._here(path)

    def _here(self, path: Any) -> str | None:
        return str(Path(self.out_dir) / Path(path).name) if isinstance(path, str) else None

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._removing_last():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        wanted = getattr(self, 'key_indicators', [])
        missing = [name for name in wanted if name not in (*metrics, 'auto')]
        if missing:
            runner.logger.warning(
                f'no best checkpoint by {", ".join(missing)}: the validation gave no such score, '
                f'as without annotated lesions; it gave {", ".join(metrics)}'
            )
        with self._removing_last():  # scores that are None are passed over
            super()._save_best_checkpoint(runner, {**dict.fromkeys(missing), **metrics})

    def _removing_last(self) -> AbstractContextManager:
        own = isinstance(self.file_backend, WholeFileBackend)
        return self.file_backend.removing_last() if own else nullcontext()
