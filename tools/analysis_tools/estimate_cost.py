"""Estimate what a training step of a config takes on a GPU, without one and without running it.

FLOPs and memory are counted (mmdet3d_medical/utils/cost.py), for FocalMix with the forward passes
that guess. The time is estimated: each operation takes what its FLOPs or its memory traffic take at
--efficiency of the GPU's peak. Defaults are the peaks that NVIDIA states for its A100 with 40 GB,
TF32 for float32; the efficiency is assumed. Loading and losses are not in it.

Example:
    python tools/analysis_tools/estimate_cost.py configs/focalmix/retina3d_fpn_luna16.py
"""

import argparse
import json
from typing import NamedTuple

from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import nn

from mmdet3d_medical.apis import DictAction, at_least, load_config, out_file, positive, run_tool
from mmdet3d_medical.apis.step_plan import Plan, plan_of
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils.cost import forward_cost, training_cost
from mmdet3d_medical.utils.files import write_text

GB, TERA = 1e9, 1e12


class Step(NamedTuple):
    """Counted and estimated cost of a training step."""

    flops: int
    kept_bytes: int
    memory_bytes: int
    seconds: float


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='overrides settings of the config',
    )
    return parser.parse_args()  # fmt: skip


def step_cost(detector: nn.Module, plan: Plan, amp: bool, args: argparse.Namespace) -> Step:
    """Guessing, then a forward and a backward pass of the whole batch."""
    batch = plan.labeled + plan.unlabeled
    trained = training_cost(detector, (batch, *plan.patch), amp)
    passes, peak = [(trained, 1)], trained.peak
    if plan.unlabeled:
        guess = forward_cost(detector, (plan.unlabeled * plan.together, *plan.patch), amp)
        passes.append((guess, plan.views / plan.together))
        peak = max(peak, guess.peak)
    speed = args.tflops[amp] * TERA * args.efficiency, args.bandwidth * GB * args.efficiency
    return Step(
        flops=round(sum(number * cost.flops for cost, number in passes)),
        kept_bytes=trained.kept,
        memory_bytes=round(peak + resident_bytes(detector, plan) + args.overhead * GB),
        seconds=sum(number * cost.seconds(*speed) for cost, number in passes),
    )


def resident_bytes(detector: nn.Module, plan: Plan) -> int:
    """Weights, two moments of each as in AdamW, and the patches, which FocalMix copies to mix."""
    weights = sum(weight.nbytes for weight in detector.parameters())
    copies = 2 if plan.views else 1
    channels, depth, height, width = plan.patch
    voxels = (plan.labeled + plan.unlabeled) * channels * depth * height * width
    return 3 * weights + copies * 4 * voxels


def print_cost(name: str, numbers: dict, plan: Plan, iterations: int | None) -> None:
    sides = ' x '.join(map(str, plan.patch[1:]))
    print(f'{name}: {numbers["parameters"] / 1e6:.2f} M parameters')
    print(f'a patch of {sides} voxels: {numbers["patch_flops"] / GB:.1f} GFLOP forward')
    guessed = f' + {plan.unlabeled} unlabeled in {plan.views} views' if plan.unlabeled else ''
    table = Table(f'a step: {plan.labeled} labeled{guessed}', 'float32', 'mixed precision')
    steps = numbers['float32'], numbers['amp']
    rows = [
        ('TFLOP', [step['flops'] / TERA for step in steps]),
        ('activations kept, GB', [step['kept_bytes'] / GB for step in steps]),
        ('GPU memory, GB (estimated)', [step['memory_bytes'] / GB for step in steps]),
        ('seconds (estimated)', [step['seconds'] for step in steps]),
    ]
    if iterations:
        hours = [iterations * step['seconds'] / 3600 for step in steps]
        rows.append((f'hours for {iterations} steps (estimated)', hours))
    for title, values in rows:
        table.add_row(title, *(f'{value:.2f}' for value in values))
    Console().print(table)


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config, options=args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet3d_medical'))
    model = MODELS.build(cfg.model)
    plan = plan_of(cfg, model, args.patch, args.channels, args.batch)
    detector = getattr(model, 'detector', model)
    numbers = dict(
        parameters=sum(weight.numel() for weight in detector.parameters()),
        patch_flops=forward_cost(detector, (1, *plan.patch)).flops,
        float32=step_cost(detector, plan, False, args)._asdict(),
        amp=step_cost(detector, plan, True, args)._asdict(),
    )
    print_cost(args.config, numbers, plan, (cfg.get('train_cfg') or {}).get('max_iters'))
    if args.json:
        write_text(args.json, json.dumps(numbers, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
