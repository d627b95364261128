"""Draw what MixUp makes of a config's training patches, as figure 4 of the FocalMix paper does.

Upper rows: a patch, its partner, the two mixed. Lower rows: a lesion, its partner, the lesion
mixed with its partner. Boxes of the patch are green, of the partner orange.

Example:
    mmdet3d-medical draw-mixup configs/retina3d/retina3d_fpn_phantom.py mixup.png
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, at_least, picture


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('out', type=picture, metavar='OUT.png')
    parser.add_argument(
        '--patches',
        type=int,
        default=3,
        metavar='N',
        help='patches to mix, at least 2 (default: 3)',
    )
    parser.add_argument(
        '--objects', type=int, default=3, metavar='N', help='most lesions to draw (default: 3)'
    )
    parser.add_argument(
        '--eta',
        type=float,
        default=4.0,
        help='of Beta(eta, eta). Training has less, so that most patches are '
        'hardly mixed; the default of 4 makes mixes that can be seen',
    )
    parser.add_argument('--seed', type=at_least(0), default=0)
    add_semi_option(parser)
    add_config_options(parser)
