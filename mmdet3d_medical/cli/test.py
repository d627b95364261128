"""What ``mmdet3d-medical test`` does."""

import sys
from argparse import Namespace

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from mmdet3d_medical.apis import (
    ShortStartRunner,
    check_weights,
    load_config,
    set_marks_file,
    set_test_data,
    trust_checkpoints,
)
from mmdet3d_medical.apis.data_match import mismatches
from mmdet3d_medical.datasets import VolumeDetDataset, open_index
from mmdet3d_medical.engine.hooks.plain_meta import KEY, parts_of
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
    meta = check_weights(runner, args.checkpoint)
    if is_main_process():
        warn_of_other_data(runner, meta.get(KEY))
    runner.test()


def warn_of_other_data(runner: Runner, meta: object) -> None:
    """Tell, a line each, how the test data differ from those that the detector was trained on.

    Args:
        runner: Before its test.
        meta: What :class:`.PlainMetaHook` wrote into the checkpoint, if anything.
    """
    for part in parts_of(runner.test_loop.dataloader.dataset):
        if isinstance(meta, dict) and isinstance(part, VolumeDetDataset):
            index = {**open_index(part.ann_file), 'classes': list(part.metainfo['classes'])}
            for message in mismatches(meta, index):
                print(f'warning: {part.ann_file}: {message}', file=sys.stderr, flush=True)
