"""Draw what the training pipeline of a config feeds the network.

A row of slices (axial, coronal, sagittal) through each lesion: lesions are green, ignored ones
orange. Patches without a lesion show their middle.

Example:
    mmdet3d-medical browse-dataset configs/retina3d/retina3d_fpn_phantom.py \\
        --output-dir browse --number 8
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, at_least


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--output-dir', default='browse', metavar='D', help='default: browse')
    parser.add_argument(
        '--number', type=at_least(1), default=8, metavar='N', help='patches (default: 8)'
    )
    add_semi_option(parser)
    add_config_options(parser)
