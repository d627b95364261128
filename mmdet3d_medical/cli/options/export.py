"""Write the network of a model as a file for other runtimes.

The network alone: it gets preprocessed patches (B, C, D, H, W), of any number and of sides in
multiples of its strides, and gives class logits (B, N, C) and box deltas (B, N, R). What they
are and what it was trained on, is in a JSON file beside it. `predict --backend` needs no file.

Example:
    mmdet3d-medical export luna16-nodules --to onnx -o network.onnx
"""

from argparse import ArgumentParser
from pathlib import Path

SUFFIXES = dict(onnx='.onnx', openvino='.xml', torch='.pt2')


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        'model', metavar='MODEL', help='name of a shipped model, or a folder that `pack` wrote'
    )
    parser.add_argument(
        '--to',
        dest='kind',
        required=True,
        choices=tuple(SUFFIXES),
        help='ONNX, files of OpenVINO, or a program of torch.export',
    )
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='FILE',
        help="file to write (default: the model's name, here)",
    )
