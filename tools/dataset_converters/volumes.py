"""Convert CT volumes (.nii .nii.gz .nrrd .mhd .mha ...) to memory-mapped volumes and an index.

The scan id is the file's name without its suffix.

Examples:
    python tools/dataset_converters/volumes.py scans --annotations lesions.csv --out data/mine \
        --spacing 1 1 1
    python tools/dataset_converters/volumes.py ct1_image.nrrd --annotations ct1_label.nrrd \
        --out data/mine
    python tools/dataset_converters/volumes.py scans --annotations masks --out data/mine \
        --classes 1=tumor 2=cyst
"""

import sys

from mmdet3d_medical.datasets.converters import convert_volumes
from mmdet3d_medical.datasets.converters.command_line import add_mask_options, make_parser, run


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='FILES_OR_DIR',
        help='images, or folders searched for images; names that end in _label, '
        '_mask or _seg are masks',
    )
    parser.add_argument(
        '--annotations',
        nargs='+',
        default=['none'],
        metavar='CSV_OR_MASKS',
        help="CSV in LUNA16's columns, or mask files or folders, or 'none' (default)",
    )
    add_mask_options(parser)
    args = parser.parse_args()
    annotations = [] if args.annotations == ['none'] else args.annotations
    return run(
        lambda settings: convert_volumes(args.paths, annotations, args.out, settings, args.workers),
        args,
    )


if __name__ == '__main__':
    sys.exit(main())
