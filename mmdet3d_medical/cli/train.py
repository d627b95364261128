"""What ``mmdet3d-medical train`` does."""

import os
from argparse import Namespace
from contextlib import AbstractContextManager, nullcontext

from mmengine.config import Config

from mmdet3d_medical.apis import (
    ShortStartRunner,
    check_resumable,
    check_start,
    check_weights,
    check_work_dir,
    load_config,
    set_amp,
    set_resume,
    set_seed,
    trust_checkpoints,
)
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.processes import BusyError, lock_folder

RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')  # as the launchers have it


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    register_all_modules()
    cfg = load_config(
        args.config,
        work_dir=args.work_dir,
        options=args.cfg_options,
        semi=args.semi,
        small=args.shrink,
        launcher=args.launcher,
    )
    if args.seed is not None:
        set_seed(cfg, args.seed)
    if args.amp:
        set_amp(cfg)
    try:
        with alone(cfg):
            train(cfg, args.resume, args.allow_partial)
    except BusyError:
        raise UsageError(
            f'another process trains in {cfg.work_dir}: wait for its end, or give '
            'another --work-dir'
        ) from None


def alone(cfg: Config) -> AbstractContextManager:
    """Keep others out of the work directory, in the first of several processes."""
    # Processes know each other only when the runner is built.
    ranks = [] if cfg.launcher == 'none' else [os.environ.get(name) for name in RANKS]
    first = all(rank in (None, '0') for rank in ranks)
    return lock_folder(cfg.work_dir) if first else nullcontext()


def train(cfg: Config, resume: bool, allow_partial: bool) -> None:
    check_work_dir(cfg)
    if (resume or cfg.get('resume') and not cfg.get('load_from')) and not set_resume(cfg):
        print(f'--resume: no checkpoint in {cfg.work_dir}, so training starts from the beginning.')
    runner = ShortStartRunner.from_cfg(cfg)
    if cfg.get('load_from'):
        if cfg.get('resume'):
            check_resumable(cfg.load_from)
            check_weights(runner, cfg.load_from)
        else:
            check_start(runner, cfg.load_from, allow_partial)
    runner.train()
