"""Convert CT volumes (.nii .nii.gz .nrrd .mhd .mha ...) to memory-mapped volumes and an index.

The scan id is the file's name without its suffix.

Examples:
    mmdet3d-medical convert-volumes scans --annotations lesions.csv --out data/mine \\
        --spacing 1 1 1
    mmdet3d-medical convert-volumes ct1_image.nrrd --annotations ct1_label.nrrd \\
        --out data/mine
    mmdet3d-medical convert-volumes scans --annotations masks --out data/mine \\
        --classes 1=tumor 2=cyst
    mmdet3d-medical convert-volumes scans --annotations corrected --out data/mine
"""

from argparse import ArgumentParser

from .conversion import add_conversion_options, add_mask_options


def add_arguments(parser: ArgumentParser) -> None:
    add_conversion_options(parser)
    parser.add_argument(
        'paths',
        nargs='+',
        metavar='FILES_OR_DIR',
        help='images, or folders searched for images; names that end in label, mask, seg or '
        'segmentation after _, - or . are masks',
    )
    parser.add_argument(
        '--annotations',
        nargs='+',
        default=['none'],
        metavar='FILE_OR_DIR',
        help="CSV files in LUNA16's columns or a folder of them, or boxes of 3D Slicer "
        '(<scan id>.mrk.json, or any in a folder <scan id>, as predict writes them), or masks, '
        "files or folders, or 'none' (default)",
    )
    add_mask_options(parser)
