"""Draw the focal loss, as figure 1 of its paper does, and what FocalMix makes of it.

Left: FL(p_t) = -(1 - p_t)^gamma log p_t over the probability p_t of the right answer (arXiv
1708.02002, equation 4). Right: the soft-target focal loss over the probability p of a lesion, for
targets y from 0 to 1 (arXiv 2003.09108, equation 9); each curve is lowest, 0, at p = y.

Example:
    mmdet3d-medical draw-focal-loss focal_loss.png
"""

from argparse import ArgumentParser

from ..arguments import picture


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('out', type=picture, metavar='OUT.png')
    parser.add_argument(
        '--gammas',
        type=float,
        nargs='+',
        default=(0.0, 0.5, 1.0, 2.0, 5.0),
        metavar='G',
        help="exponents on the left (default: the paper's, 0 0.5 1 2 5)",
    )
    parser.add_argument(
        '--gamma', type=float, default=2.0, help='exponent on the right (default: 2)'
    )
    parser.add_argument(
        '--alpha',
        type=float,
        nargs=2,
        default=(0.25, 0.75),
        metavar=('A0', 'A1'),
        help='weights at y = 0 and y = 1, on the right (default: 0.25 0.75)',
    )
