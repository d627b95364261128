"""Look at what a detector would guess on unlabeled scans whose annotations are known after all.

Three questions, answered without training: do guessed probabilities mean what they say, which
thresholds find the lesions, and which way would the unlabeled loss pull for a temperature and a
center of sharpening. The last is the cosine between its gradient and that of the true labels on the
same patches, over all of them; below 0 the unlabeled loss unlearns lesions.

Example:
    mmdet3d-medical diagnose-guesses configs/focalmix/retina3d_fpn_phantom.py \\
        work_dirs/supervised/iter_1500.pth --temperatures 0.7 1 --centers 0.5 0.36
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, add_trust_option, at_least, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', help='of a FocalMixDetector')
    parser.add_argument('checkpoint', help='its weights, or those of the plain detector')
    parser.add_argument(
        '--batches',
        type=at_least(1),
        default=100,
        metavar='N',
        help='batches of unlabeled patches (default: 100)',
    )
    parser.add_argument(
        '--patches', type=at_least(1), default=4, metavar='N', help='in a batch (default: 4)'
    )
    parser.add_argument('--temperatures', type=float, nargs='+', default=[0.7, 1.0])
    parser.add_argument('--centers', type=float, nargs='+', default=[0.5, 0.4, 0.3, 0.2])
    parser.add_argument('--seed', type=int, default=0, help='of patches and views')
    parser.add_argument('--json', type=out_file, metavar='OUT.json', help='write the numbers')
    add_semi_option(parser)
    add_config_options(parser)
    add_trust_option(parser)
