"""Convert series of DICOM files, in folders of any nesting, to memory-mapped volumes and an index.

Series that do not suit are left out, one series of each study is taken, and report.csv in OUT_DIR
tells what became of each. The scan id is the series id; nothing else about patients is written or
printed but a hash of their ids, by which make_splits.py keeps the scans of a patient together. It
cannot be looked up without the key, OUT_DIR/patient_key: do not give that away with the data.

Example:
    python tools/dataset_converters/dicom.py NLST --out data/nlst --spacing 1 1 1 --crop lungs
"""

import argparse
import sys

from mmdet3d_medical.datasets.converters import SeriesRules, convert_dicom
from mmdet3d_medical.datasets.converters.command_line import add_mask_options, make_parser, run


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    rules = SeriesRules()
    parser.add_argument('dicom_dir', metavar='DIR', help='folder, searched with all below it')
    parser.add_argument(
        '--annotations',
        nargs='+',
        default=['none'],
        metavar='CSV_OR_MASKS',
        help="CSV in LUNA16's columns, or mask files or folders, called by series "
        "ids, or 'none' (default)",
    )
    add_mask_options(parser)
    parser.add_argument(
        '--max-thickness',
        type=float,
        default=rules.max_thickness,
        metavar='MM',
        help='of slices, and between them (default: %(default)s)',
    )
    parser.add_argument(
        '--min-slices', type=int, default=rules.min_slices, metavar='N', help='default: %(default)s'
    )
    parser.add_argument(
        '--max-angle',
        type=float,
        default=rules.max_angle,
        metavar='DEGREES',
        help='between the normal of the slices and the body axis (default: %(default)s)',
    )
    parser.add_argument(
        '--kernels',
        nargs='+',
        default=(),
        metavar='PATTERN',
        help="convolution kernels to take, the best first, as 'B3*' STANDARD (default: all)",
    )
    parser.add_argument(
        '--prefer',
        nargs='+',
        default=rules.prefer,
        choices=rules.prefer,
        help='what decides between the series of a study, first things first '
        f'(default: {" ".join(rules.prefer)})',
    )
    parser.add_argument(
        '--all-series',
        action='store_true',
        help='take all series that the rules allow, not one of each study',
    )
    parser.add_argument(
        '--series-by-folder',
        action='store_true',
        help='where series ids are blank or in several folders, take each folder as a series; its '
        'path below DIR becomes the scan id, so rename folders that name patients',
    )
    parser.add_argument(
        '--list-unreadable',
        metavar='FILE',
        help='write the paths of DICOM files that cannot be read; paths may name '
        'patients, so nothing else tells them',
    )
    parser.add_argument(
        '--patient-key',
        metavar='FILE',
        help='key for the hashes of patient ids, to get the same ones in several '
        'data sets (default: OUT_DIR/patient_key, made at random)',
    )
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    annotations = [] if args.annotations == ['none'] else args.annotations

    def convert(settings):
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
            args.workers,
            args.list_unreadable,
            args.patient_key,
            args.series_by_folder,
        )

    return run(convert, args)


if __name__ == '__main__':
    sys.exit(main())
