"""Time MONAI's RetinaNet for LUNA16 and ours, the same network, on the same patch in the same run.

Needs MONAI (pip install monai), not torchvision. Both have the same weights and limits of scores
and boxes, so that they find about as many boxes. A training step is forward, targets, losses and
backward, once more with our ``recompute_activations``; inference goes from the patch to boxes.
Times are the median of calls that take turns, on a CPU those of this process; memory is the most
that tensors of a call hold at one time.

Example:
    python projects/benchmark/benchmark_monai.py --side 64 --json monai.json
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from benchmark import build
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table
from timing import measure
from torch import Tensor, nn

from mmdet3d_medical.cli.arguments import out_file
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.cli.monai_to_mmdet3d import convert
from mmdet3d_medical.models.layers import recompute_activations
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

Context = Callable[[], AbstractContextManager]
CONFIG = 'retina3d/retina3d_r50_monai_luna16.py'
ROOT = Path(__file__).resolve().parents[2]


def monai_detector() -> nn.Module:
    """The detector of the bundle lung_nodule_ct_detection, with its settings."""
    try:
        from monai.apps.detection.networks import retinanet_detector
        from monai.apps.detection.networks.retinanet_network import RetinaNet
        from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape
    except ImportError as error:
        raise UsageError(f'MONAI cannot be imported ({error}): pip install monai') from error
    # Without torchvision this name cannot even be asked about; its matcher is not the one used.
    retinanet_detector.Matcher = type('Matcher', (), {})
    shapes = [[6, 8, 4], [8, 6, 5], [10, 10, 6]]
    detector = retinanet_detector.RetinaNetDetector(
        RetinaNet(3, 1, 3, _feature_extractor(), size_divisible=(16, 16, 8)),
        AnchorGeneratorWithAnchorShape((1, 2, 4), shapes),
    )
    detector.set_atss_matcher(num_candidates=4, center_in_gt=False)
    detector.set_hard_negative_sampler(
        batch_size_per_image=64, positive_fraction=0.3, pool_size=20, min_neg=16
    )
    detector.set_target_keys(box_key='box', label_key='label')
    detector.set_box_selector_parameters(
        score_thresh=0.02, topk_candidates_per_level=1000, nms_thresh=0.22, detections_per_img=300
    )
    return detector


def _feature_extractor() -> nn.Module:
    """ResNet-50 up to its second stage, and the pyramid; MONAI's own joint needs torchvision."""
    from monai.networks.blocks.feature_pyramid_network import (
        FeaturePyramidNetwork,
        LastLevelMaxPool,
    )
    from monai.networks.nets.resnet import resnet50

    class Extractor(nn.Module):
        out_channels = 256

        def __init__(self):
            super().__init__()
            whole = resnet50(
                spatial_dims=3, n_input_channels=1, conv1_t_stride=[2, 2, 1], conv1_t_size=[7, 7, 7]
            )
            names = ('conv1', 'bn1', 'act', 'maxpool', 'layer1', 'layer2')
            self.body = nn.ModuleDict({name: getattr(whole, name) for name in names})
            self.fpn = FeaturePyramidNetwork(3, [256, 512], 256, LastLevelMaxPool(3))

        def forward(self, x):
            *stem, layer1, layer2 = self.body.values()
            fine = layer1(nn.Sequential(*stem)(x))
            return self.fpn(dict(fine=fine, coarse=layer2(fine)))

    return Extractor()


def monai_calls(
    model: nn.Module, patch: Tensor, box: Tensor, precision: Context = nullcontext
) -> dict[str, Callable[[], None]]:
    """What is measured of MONAI's; ``precision`` gives the context of forward passes."""
    patch = patch.transpose(2, 4).contiguous()  # MONAI's axes are x, y, z; the box is a cube
    target = dict(box=box, label=torch.zeros(1, dtype=torch.long, device=box.device))

    def train():
        with precision():
            loss = sum(model.train()([patch[0]], [target]).values())
        loss.backward()
        model.zero_grad()

    @torch.no_grad()
    def infer():
        with precision():
            model.eval()([patch[0]], use_inferer=False)

    return {'training step': train, 'inference': infer}


def our_detector(theirs: nn.Module) -> nn.Module:
    """With MONAI's weights."""
    detector = build(CONFIG)
    missing, extra = detector.load_state_dict(convert(theirs.network.state_dict()), strict=False)
    if missing or extra:
        raise UsageError(f'MONAI has other weights than 1.6.1: {[*missing, *extra]}')
    return detector


def our_calls(
    model: nn.Module, patch: Tensor, box: Tensor, precision: Context = nullcontext
) -> dict[str, Callable[[], None]]:
    """What is measured of ours; arguments as of :func:`monai_calls`."""
    labels = torch.zeros(1, dtype=torch.long, device=box.device)
    samples = [DetDataSample(gt_instances=InstanceData(bboxes=box, labels=labels))]

    def train():
        with precision():
            loss = sum(model.train().loss(patch, samples).values())
        loss.backward()
        model.zero_grad()

    def infer():
        with precision():
            model.eval().predict(patch, samples)

    return {'training step': train, 'inference': infer}


def pairs_of_calls(
    ours: nn.Module, theirs: nn.Module, patch: Tensor, box: Tensor
) -> dict[str, tuple[Callable, Callable]]:
    """What is measured: our call and MONAI's."""
    saving = copy.deepcopy(ours)
    recompute_activations(saving)
    calls = [our_calls(model, patch, box) for model in (ours, saving)]
    plain, recomputed, monai = *calls, monai_calls(theirs, patch, box)
    step = 'training step'
    return {
        step: (plain[step], monai[step]),
        f'{step}, activations recomputed': (recomputed[step], monai[step]),
        'inference': (plain['inference'], monai['inference']),
    }


def pairs_of_numbers(ours: Callable, theirs: Callable, repeat: int, on_gpu: bool) -> dict:
    """Seconds and MB of both: [ours, theirs]."""
    found = measure(dict(ours=ours, theirs=theirs), repeat, on_gpu)
    return {unit: [found[name][unit] for name in found] for unit in ('seconds', 'peak_mb')}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--side',
        type=int,
        default=64,
        help='of the patch in voxels, a multiple of 16 (default: 64)',
    )
    parser.add_argument('--repeat', type=int, default=3, help='calls timed (default: 3)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (default: 1)')
    parser.add_argument(
        '--device', default='cpu', choices=('cpu', 'cuda'), help='where to compute (default: cpu)'
    )
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the numbers to this file'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.side < 16 or args.side % 16 or args.repeat < 1:
        raise UsageError(
            '--side must be a multiple of 16 and --repeat at least 1, found '
            f'{args.side} and {args.repeat}.'
        )
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    patch, middle = torch.rand(1, 1, *[args.side] * 3), args.side / 2
    box = torch.tensor([[middle - 4] * 3 + [middle + 4] * 3])
    patch, box = patch.to(args.device), box.to(args.device)
    monai = monai_detector()
    detector = our_detector(monai).to(args.device)
    rows = {
        name: pairs_of_numbers(*pair, args.repeat, patch.is_cuda)
        for name, pair in pairs_of_calls(detector, monai.to(args.device), patch, box).items()
    }
    table = Table('', 'ours', 'MONAI', 'ours / MONAI')
    for name, row in rows.items():
        for unit, pair in row.items():
            cells = [f'{value:.2f}' for value in (*pair, pair[0] / pair[1])]
            table.add_row(f'{name} of {args.side}^3, {unit}', *cells)
    Console().print(table)
    if args.json:
        write_text(args.json, json.dumps(rows, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
