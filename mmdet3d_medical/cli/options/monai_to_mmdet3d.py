"""Turn weights of MONAI's RetinaNet into a checkpoint for retina3d_r50_monai_luna16.py.

``mmdet3d-medical monai-to-mmdet3d models/model.pt monai.pth``

MONAI's axes are (x, y, z) and ours (z, y, x), so kernels are turned round, and with them the six
numbers of each anchor's box. Takes what ``torch.save`` wrote of the network, of the detector around
it, or of a dict that has either under 'model' or 'state_dict'; not TorchScript (model.ts). MONAI
itself is not needed.
"""

from argparse import ArgumentParser

from ..arguments import add_trust_option, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='what to convert, such as models/model.pt')
    parser.add_argument('out', type=out_file, help='where to write the result')
    add_trust_option(parser)
