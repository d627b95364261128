"""Estimate what a training step of a config takes on a GPU, without one and without running it.

FLOPs and memory are counted (mmdet3d_medical/utils/cost.py), for FocalMix with the forward passes
that guess. The time is estimated: each operation takes what its FLOPs or its memory traffic take at
--efficiency of the GPU's peak. Defaults are the peaks that NVIDIA states for its A100 with 40 GB,
TF32 for float32; the efficiency is assumed. Loading and losses are not in it.

Example:
    mmdet3d-medical estimate-cost configs/focalmix/retina3d_fpn_luna16.py
"""

from argparse import ArgumentParser

from ..arguments import add_config_options, add_semi_option, at_least, out_file, positive


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument(
        '--patch',
        type=at_least(1),
        nargs=3,
        metavar=('Z', 'Y', 'X'),
        help="sides in voxels (default: the config's crops)",
    )
    parser.add_argument('--channels', type=at_least(1), default=1, help='of a scan (default: 1)')
    parser.add_argument(
        '--batch',
        type=at_least(0),
        nargs=2,
        metavar=('LABELED', 'UNLABELED'),
        help="patches in a step of one GPU (default: the config's)",
    )
    parser.add_argument(
        '--tflops',
        type=positive,
        nargs=2,
        metavar=('FLOAT32', 'AMP'),
        default=(156.0, 312.0),
        help='peak arithmetic (default: 156 312)',
    )
    parser.add_argument(
        '--bandwidth',
        type=positive,
        default=1555.0,
        metavar='GB/S',
        help='peak of the memory (default: 1555)',
    )
    parser.add_argument(
        '--efficiency',
        type=positive,
        default=0.3,
        help='share of both peaks that is reached (default: 0.3, assumed)',
    )
    parser.add_argument(
        '--overhead',
        type=float,
        default=1.0,
        metavar='GB',
        help='memory of the CUDA context and libraries (default: 1, assumed)',
    )
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the numbers to this file'
    )
    add_semi_option(parser)
    add_config_options(parser)
