"""What ``mmdet3d-medical convert-dicom`` does."""

from argparse import Namespace

from mmdet3d_medical.datasets.converters import SeriesRules, convert_dicom

from .conversion import run


def main(args: Namespace) -> int:
    annotations = [] if args.annotations == ['none'] else args.annotations

    def convert(settings, workers):
        rules = SeriesRules(
            args.max_thickness,
            args.min_slices,
            args.max_angle,
            tuple(args.kernels),
            tuple(args.prefer),
            args.all_series,
        )
        return convert_dicom(
            args.dicom_dir,
            args.out,
            settings,
            rules,
            annotations,
            workers,
            args.list_unreadable,
            args.patient_key,
            args.series_by_folder,
            args.readers,
        )

    return run(convert, args)
