"""What ``mmdet3d-medical estimate-cost`` does."""

import json
from argparse import Namespace
from typing import NamedTuple

from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from torch import nn

from mmdet3d_medical.apis import load_config
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


def step_cost(detector: nn.Module, plan: Plan, amp: bool, args: Namespace) -> Step:
    """Guessing, then a forward and a backward pass of the whole batch."""
    batch, some = plan.labeled + plan.unlabeled, not plan.guesses_boxes and plan.unlabeled > 0
    with_boxes = plan.labeled if some and plan.labeled else None
    trained = training_cost(detector, (batch, *plan.patch), amp, with_boxes)
    passes = [(trained, 1)]
    if plan.unlabeled:
        shape, number = (plan.unlabeled * plan.together, *plan.patch), plan.views / plan.together
        passes.append((forward_cost(detector, shape, amp, plan.unlabeled if some else None), 1))
        passes.append((forward_cost(detector, shape, amp, 0 if some else None), number - 1))
    peak = max(cost.peak for cost, _ in passes)
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


def main(args: Namespace) -> None:
    cfg = load_config(args.config, options=args.cfg_options, semi=args.semi)
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
