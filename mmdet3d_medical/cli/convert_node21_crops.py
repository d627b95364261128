"""What ``mmdet3d-medical convert-node21-crops`` does."""

from argparse import Namespace

from mmdet3d_medical.datasets.converters import convert_node21_crops

from .conversion import run


def main(args: Namespace) -> int:
    return run(
        lambda settings, workers: convert_node21_crops(
            args.patch_dir, args.out, settings, args.annotations, args.excluded, workers
        ),
        args,
    )
