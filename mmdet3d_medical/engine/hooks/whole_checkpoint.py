"""Checkpoints that are whole, whenever a training is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
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
        write_bytes(filepath, obj)

    def remove(self, filepath: str | Path) -> None:
        if self._outdated is None:
            super().remove(filepath)
        else:
            self._outdated.append(filepath)

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


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, for trainings that may be killed while they save.

    A checkpoint is written under another name first, and an older one, or one that was the best
    before, goes when the new one is there: mmengine's hook removes first and writes in place, so
    that with ``max_keep_ckpts=1`` or a full disk none is left. Arguments are those of mmengine's;
    with ``backend_args`` or a remote ``out_dir`` it does what mmengine's does.
    """

    def before_train(self, runner: Runner) -> None:
        if self.backend_args is None and '://' not in str(self.out_dir):
            self.backend_args = dict(backend=BACKEND)
        super().before_train(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._removing_last():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._removing_last():
            super()._save_best_checkpoint(runner, metrics)

    def _removing_last(self) -> AbstractContextManager:
        own = isinstance(self.file_backend, WholeFileBackend)
        return self.file_backend.removing_last() if own else nullcontext()
