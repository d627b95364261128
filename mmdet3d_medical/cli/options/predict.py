"""Find lesions in scans with a trained detector, and write them in formats that viewers read.

SCAN is a volume in any format of SimpleITK, a folder or zip archive of DICOM files, or a folder of
these. Spacing, cropping, window and threshold come from the model; positions are those of the scan
as it came. A second run does only what is missing.

Example:
    mmdet3d-medical predict luna16-nodules chest.nii.gz -o out
    mmdet3d-medical predict my_model scans/ dicom.zip -o out --fp-per-scan 2 --format csv slicer
"""

from argparse import ArgumentParser
from pathlib import Path

from ..arguments import add_executor_options, at_least, positive

FORMATS = ('csv', 'json', 'slicer', 'html', 'nifti', 'grand-challenge', 'dicom')
BACKENDS = ('auto', 'torch', 'openvino', 'onnxruntime')
DEFAULT = ('csv', 'json', 'slicer', 'html')  # as of Findings.save, with which a test compares them


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'model',
        metavar='MODEL',
        help='name of a model that comes with the package (`models` lists them) or a folder that '
        '`pack` wrote',
    )
    parser.add_argument('scans', metavar='SCAN', nargs='+', help='scans, or folders of them')
    parser.add_argument(
        '-o', '--out', required=True, type=Path, metavar='OUT', help='folder of the results'
    )
    parser.add_argument(
        '--format',
        dest='formats',
        nargs='+',
        choices=FORMATS,
        default=DEFAULT,
        help=f'files to write (default: {" ".join(DEFAULT)})',
    )
    threshold = parser.add_mutually_exclusive_group()
    threshold.add_argument(
        '--score-thr', type=float, metavar='F', help="lowest score (default: the model's)"
    )
    threshold.add_argument(
        '--fp-per-scan',
        type=positive,
        metavar='R',
        help='take the score that had so many false positives in a scan when it was measured',
    )
    parser.add_argument(
        '--device', metavar='D', help='cpu or cuda (default: a GPU if there is one)'
    )
    parser.add_argument(
        '--backend',
        choices=BACKENDS,
        default='auto',
        help='what computes the network (default: auto, the fastest that is installed)',
    )
    parser.add_argument(
        '--workers',
        type=at_least(1),
        default=1,
        metavar='N',
        help='processes of this machine, each with a model of its own (default: 1)',
    )
    add_executor_options(parser)
