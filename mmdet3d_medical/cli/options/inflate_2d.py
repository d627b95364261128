"""Inflate weights of a 2D ResNet to a checkpoint for ResNet3D.

``mmdet3d-medical inflate-2d CONFIG resnet50.pth resnet50_3d.pth``

Kernels are repeated along depth and divided by their depth, so that a volume that is constant along
depth gives what the slice gives in 2D, away from its first and last slices (I3D, Carreira and
Zisserman 2017, arXiv 1705.07750, section 2.4). A network of one channel gets the sum of the three
of a photograph, which is the response to a gray one. Statistics of batch normalization are kept.

Takes weights with the names of torchvision, timm, mmdet or mmpretrain (conv1, layer1.0.conv1,
layer1.0.downsample.0, ...). CONFIG says what network they have to fit: its width, its groups and
the sides of its stem. Stages that it does not have are left out. Weights do not tell strides: those
of torchvision have ``stem_pool=True, strides=(1, 2, 2, 2)``, as in
configs/retina3d/retina3d_r50_inflated_luna16.py, and the stride of a bottleneck in its 3 x 3
convolution.
"""

from argparse import ArgumentParser

from ..arguments import add_trust_option, out_file


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('config', metavar='CONFIG', help='of a detector with a ResNet3D')
    parser.add_argument('weights', help='of a ResNet in 2D, as torch.save wrote them')
    parser.add_argument('out', type=out_file, help='where to write the checkpoint')
    parser.add_argument(
        '--prefix',
        default='backbone.',
        help="of the names in the checkpoint: 'backbone.' for load_from, '' for "
        "init_cfg of the backbone (default: 'backbone.')",
    )
    add_trust_option(parser)
