"""Test a detector: ``python tools/test.py CONFIG CHECKPOINT --out marks.csv``."""

import argparse

from mmdet3d_medical.apis import (
    DictAction,
    ShortStartRunner,
    UsageError,
    add_trust_option,
    check_weights,
    load_config,
    run_tool,
    set_marks_file,
    set_test_data,
    trust_checkpoints,
)
from mmdet3d_medical.utils import register_all_modules


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='file with trained weights')
    parser.add_argument(
        '--out',
        metavar='MARKS.csv',
        help="write detections in the columns of LUNA16's submissions, then diameter_mm, sizeX, "
        'sizeY, sizeZ (mm)',
    )
    parser.add_argument(
        '--min-score',
        type=float,
        metavar='P',
        help='leave marks with a lower score out of --out (default: write all, up to 100 a scan); '
        'the scores of the test count all marks',
    )
    parser.add_argument(
        '--data',
        metavar='INDEX_OR_FOLDER',
        help='test on all scans of this index.json, for example new scans without annotations '
        '(default: the test scans of the config)',
    )
    parser.add_argument(
        '--work-dir', help='where logs go (default: work_dirs/<name of the config>)'
    )
    parser.add_argument(
        '--shrink',
        action='store_true',
        help='for a checkpoint that was trained with --shrink; all scans are tested',
    )
    add_trust_option(parser)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='values to change in the config, e.g. test_dataloader.batch_size=1',
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
    if args.data:
        set_test_data(cfg, args.data)
    if args.out:
        set_marks_file(cfg, args.out, args.min_score)
    elif args.min_score is not None:
        raise UsageError('--min-score says which marks are written: give --out MARKS.csv too')
    # Loaded when the hooks are ready: EMAHook has weights of its own.
    cfg.load_from, cfg.resume = args.checkpoint, False
    runner = ShortStartRunner.from_cfg(cfg)
    check_weights(runner, args.checkpoint)
    runner.test()


if __name__ == '__main__':
    run_tool(main)
