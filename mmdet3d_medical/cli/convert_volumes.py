"""What ``mmdet3d-medical convert-volumes`` does."""

from argparse import Namespace

from mmdet3d_medical.datasets.converters import convert_volumes

from .conversion import run


def main(args: Namespace) -> int:
    annotations = [] if args.annotations == ['none'] else args.annotations
    return run(
        lambda settings, workers: convert_volumes(
            args.paths, annotations, args.out, settings, workers
        ),
        args,
    )
