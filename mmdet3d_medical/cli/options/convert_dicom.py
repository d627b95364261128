"""Convert series of DICOM files, in folders of any nesting, to memory-mapped volumes and an index.

Series that do not suit are left out, one series of each study is taken, and report.csv in OUT_DIR
tells what became of each. The scan id is the series id; nothing else about patients is written or
printed but a hash of their ids, by which make-splits keeps the scans of a patient together. It
cannot be looked up without the key, OUT_DIR/patient_key: do not give that away with the data.

Example:
    mmdet3d-medical convert-dicom NLST --out data/nlst --spacing 1 1 1 --crop lungs
"""

from argparse import ArgumentParser

from ..arguments import at_least
from .conversion import add_conversion_options, add_mask_options

# As the defaults of SeriesRules, with which a test compares them: it imports much.
PREFERENCES = ('kernel', 'thickness', 'slices')


def add_arguments(parser: ArgumentParser) -> None:
    add_conversion_options(parser)
    parser.add_argument('dicom_dir', metavar='DIR', help='folder, searched with all below it')
    parser.add_argument(
        '--annotations',
        nargs='+',
        default=['none'],
        metavar='FILE_OR_DIR',
        help="CSV files in LUNA16's columns, or mask files or folders or boxes of 3D Slicer, "
        'called by series ids (see convert-volumes), or XML files of LIDC-IDRI or folders of '
        "them, or 'none' (default)",
    )
    parser.add_argument(
        '--readers',
        type=at_least(1),
        default=3,
        metavar='K',
        help='of LIDC-IDRI that must outline a nodule, other findings are excluded (default: '
        "%(default)s, LUNA16's)",
    )
    add_mask_options(parser)
    parser.add_argument(
        '--max-thickness',
        type=float,
        default=2.5,
        metavar='MM',
        help='of slices, and between them (default: %(default)s)',
    )
    parser.add_argument(
        '--min-slices', type=int, default=50, metavar='N', help='default: %(default)s'
    )
    parser.add_argument(
        '--max-angle',
        type=float,
        default=15.0,
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
        default=PREFERENCES,
        choices=PREFERENCES,
        help='what decides between the series of a study, first things first '
        f'(default: {" ".join(PREFERENCES)})',
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
