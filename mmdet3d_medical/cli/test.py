"""What ``mmdet3d-medical test`` does."""

from argparse import Namespace

from mmengine.runner import Runner

from mmdet3d_medical.apis import check_weights, load_config, set_marks_file, trust_checkpoints
from mmdet3d_medical.utils import register_all_modules


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    register_all_modules()
    cfg = load_config(
        args.config,
        work_dir=args.work_dir,
        options=args.cfg_options,
        small=args.shrink,
        launcher=args.launcher,
    )
    if args.out:
        set_marks_file(cfg, args.out)
    # Loaded when the hooks are ready: EMAHook has weights of its own.
    cfg.load_from, cfg.resume = args.checkpoint, False
    runner = Runner.from_cfg(cfg)
    check_weights(runner, args.checkpoint)
    runner.test()
