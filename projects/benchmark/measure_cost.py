"""Measure what a training step of a config takes on this machine's device, on GPUs with AMP too.

A step is what a run does after loading: preprocessing, with FocalMix guesses and MixUp,
targets, losses, backward pass and update, on patches of noise with a lesion each. What
``estimate_cost.py`` estimates without running it.

Example:
    python projects/benchmark/measure_cost.py configs/focalmix/retina3d_fpn_luna16.py
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table

from mmdet3d_medical.apis import load_config, set_amp
from mmdet3d_medical.apis.step_plan import Plan, plan_of
from mmdet3d_medical.cli.arguments import add_config_options, add_semi_option, at_least, out_file
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.files import write_text

GB = 1e9

WARM_UP = 3  # steps: the first ones choose algorithms and fill caches
LESION = 8  # voxels


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--steps', type=at_least(1), default=10, help='steps timed (default: 10)')
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
        help="patches in a step (default: the config's)",
    )
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the numbers to this file'
    )
    add_semi_option(parser)
    add_config_options(parser)
    return parser.parse_args()  # fmt: skip


def make_batch(plan: Plan, channels: int) -> dict:
    """As a data loader gives it, in branches where there are unlabeled patches."""
    parts = dict(sup=plan.labeled, unsup=plan.unlabeled)
    shape = (channels, *plan.patch[1:])
    branches = {
        name: dict(
            inputs=[torch.randint(-1000, 400, shape, dtype=torch.int16) for _ in range(number)],
            data_samples=[sample_with_lesion(shape[1:]) for _ in range(number)],
        )
        for name, number in parts.items() if number
    }  # fmt: skip
    if not plan.unlabeled:
        return branches['sup']
    return {
        key: {name: part[key] for name, part in branches.items()}
        for key in ('inputs', 'data_samples')
    }


def sample_with_lesion(shape: tuple[int, ...]) -> DetDataSample:
    """The lesion lies in the middle of the patch, which is all of its scan."""
    low = torch.tensor(shape) / 2 - LESION / 2
    lesion = InstanceData(bboxes=torch.cat([low, low + LESION])[None], labels=torch.zeros(1).long())
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), shape)
    return DetDataSample(gt_instances=lesion, metainfo=dict(geometry=geometry))


def measure(cfg: Config, args: argparse.Namespace, amp: bool) -> dict:
    """Median seconds of a step, and on a GPU the most bytes that tensors and the cache took."""
    if amp:
        set_amp(cfg)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    plan = plan_of(cfg, model, args.patch, args.channels, args.batch)
    model.init_weights()
    model = model.to(get_device()).train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    batch = make_batch(plan, args.channels)
    call = lambda: model.train_step(batch, wrapper)  # noqa: E731
    for _ in range(WARM_UP):
        call()
    if on_gpu := torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = [timed(call) for _ in range(args.steps)]
    return dict(
        seconds=statistics.median(seconds),
        tensor_bytes=torch.cuda.max_memory_allocated() if on_gpu else None,
        reserved_bytes=torch.cuda.max_memory_reserved() if on_gpu else None,
    )


def timed(function: Callable) -> float:
    """Seconds of a call, by the clock and until the device is done."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'


def print_numbers(title: str, numbers: dict[str, dict]) -> None:
    table = Table(title, *numbers)
    rows = [('seconds a step', 'seconds', 1), ('tensors, GB', 'tensor_bytes', GB),
            ('reserved, GB', 'reserved_bytes', GB)]  # fmt: skip
    for name, key, unit in rows:
        values = [part[key] for part in numbers.values()]
        if None not in values:
            table.add_row(name, *(f'{value / unit:.3f}' for value in values))
    Console().print(table)


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine').setLevel('WARNING')  # no line for each weight
    numbers = {}
    for precision in ('float32', 'amp') if torch.cuda.is_available() else ('float32',):
        cfg = load_config(args.config, options=args.cfg_options, semi=args.semi)
        init_default_scope(cfg.get('default_scope', 'mmdet3d_medical'))
        torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get('cudnn_benchmark', False)
        numbers[precision] = measure(cfg, args, amp=precision == 'amp')
    print_numbers(f'{args.config} on {device_name()}', numbers)
    if args.json:
        numbers['device'] = device_name()
        write_text(args.json, json.dumps(numbers, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
