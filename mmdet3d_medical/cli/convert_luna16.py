"""What ``mmdet3d-medical convert-luna16`` does."""

from argparse import Namespace

from mmdet3d_medical.datasets.converters import convert_luna16

from .conversion import run


def main(args: Namespace) -> int:
    return run(
        lambda settings, workers: convert_luna16(args.luna16_dir, args.out, settings, workers),
        args,
    )
