"""Train a detector: ``python tools/train.py configs/retina3d/retina3d_fpn_luna16.py``."""

import argparse

from mmengine.config import DictAction
from mmengine.runner import Runner

from mmdet3d_medical.apis import (
    check_weights,
    check_work_dir,
    load_config,
    run_tool,
    set_amp,
    set_resume,
    set_seed,
)
from mmdet3d_medical.utils import register_all_modules


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go '
                        '(default: work_dirs/<name of the config>)')
    parser.add_argument('--resume', action='store_true',
                        help='go on from the last checkpoint in the work directory')
    parser.add_argument('--amp', action='store_true',
                        help='mixed precision: float16, on a CPU bfloat16')
    parser.add_argument('--shrink', action='store_true',
                        help='small patches, batches and widths and few iterations, '
                        'to try any config on a laptop')
    parser.add_argument('--seed', type=int, help='seed of everything random')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='values to change in the config, e.g. train_cfg.max_iters=1000')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    register_all_modules()
    cfg = load_config(args.config, work_dir=args.work_dir, options=args.cfg_options,
                      small=args.shrink, launcher=args.launcher)
    if args.seed is not None:
        set_seed(cfg, args.seed)
    if args.amp:
        set_amp(cfg)
    check_work_dir(cfg)
    if args.resume and not set_resume(cfg):
        print(f'--resume: no checkpoint in {cfg.work_dir}, so training starts from the beginning.')
    runner = Runner.from_cfg(cfg)
    if cfg.get('resume') and cfg.get('load_from'):
        check_weights(runner, cfg.load_from)
    runner.train()


if __name__ == '__main__':
    run_tool(main)
