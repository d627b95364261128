"""Train a detector: ``python tools/train.py configs/retina3d/retina3d_fpn_luna16.py``."""

import argparse
import os
from contextlib import AbstractContextManager, nullcontext

from mmengine.config import Config

from mmdet3d_medical.apis import (
    DictAction,
    ShortStartRunner,
    UsageError,
    add_trust_option,
    at_least,
    check_resumable,
    check_start,
    check_weights,
    check_work_dir,
    load_config,
    run_tool,
    set_amp,
    set_resume,
    set_seed,
    trust_checkpoints,
)
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.processes import BusyError, lock_folder

RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')  # as the launchers have it


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--resume', action='store_true', help='go on from the last checkpoint in the work directory'
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision: float16, on a CPU bfloat16'
    )
    parser.add_argument(
        '--shrink',
        action='store_true',
        help='small patches, batches and widths and few iterations, to try any config on a laptop',
    )
    parser.add_argument(
        '--allow-partial',
        action='store_true',
        help='train from weights in load_from that fit the model in part only',
    )
    add_trust_option(parser)
    parser.add_argument('--seed', type=at_least(0), help='seed of everything random')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='values to change in the config, e.g. train_cfg.max_iters=1000',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    trust_checkpoints(args.trust_checkpoint)
    register_all_modules()
    cfg = load_config(
        args.config,
        work_dir=args.work_dir,
        options=args.cfg_options,
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


if __name__ == '__main__':
    run_tool(main)
