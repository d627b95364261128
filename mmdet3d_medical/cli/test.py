"""What ``mmdet3d-medical test`` does."""

from argparse import Namespace

from mmdet3d_medical.apis import (
    ShortStartRunner,
    check_weights,
    load_config,
    set_marks_file,
    set_test_data,
    trust_checkpoints,
)
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError


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
