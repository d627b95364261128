"""Time the forward pass of detectors by torch, ONNX Runtime and OpenVINO, and MONAI beside ours.

Each network is asked about the same patch by all backends in turn, in one process; memory is the
peak of a process of its own, Python and its packages included. Weights are random, or of shipped
models. MONAI searches a scan with its sliding window, ours with tiles of the same size and overlap,
both with the network of MONAI's bundle and the same weights.

Example:
    python projects/benchmark/measure_inference.py --side 96 --json inference.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from benchmark import status_bytes
from benchmark_monai import monai_detector, our_detector
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.cli.arguments import at_least, out_file
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.deploy import RUNTIMES, Network, make_runtime
from mmdet3d_medical.packing import read_model, shipped_models
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.errors import UsageError
from mmdet3d_medical.utils.files import write_text

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ('torch', *RUNTIMES)
MONAI_CONFIG = 'configs/retina3d/retina3d_r50_monai_luna16.py'
TILE, OVERLAP = 64, 16  # of the scan that MONAI and we search
ABSENT = '-'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='NAME',
        help='shipped models or configs (default: all shipped models and detectors for LUNA16)',
    )
    parser.add_argument(
        '--side', type=at_least(32), default=96, help='of the patch in voxels (default: 96)'
    )
    parser.add_argument(
        '--repeat', type=at_least(1), default=3, help='calls, of which the fastest counts'
    )
    parser.add_argument('--threads', type=at_least(1), default=1, help='default: 1')
    parser.add_argument(
        '--monai', action='store_true', help="search a scan by MONAI's sliding window too"
    )
    parser.add_argument('--json', type=out_file, metavar='OUT.json', help='write the numbers')
    parser.add_argument('--memory-of', nargs=2, help=argparse.SUPPRESS)  # NAME BACKEND
    return parser.parse_args()


def default_names() -> list[str]:
    configs = sorted((ROOT / 'configs').glob('*/*_luna16.py'))
    detectors = [path for path in configs if path.parent.name != 'focalmix']
    return [*shipped_models(), *(str(path.relative_to(ROOT)) for path in detectors)]


def build(name: str) -> tuple[nn.Module, Network]:
    """The detector as it is used, and its network for other runtimes."""
    torch.manual_seed(0)
    if name.endswith('.py'):
        config = load_config(str(ROOT / name)).model.to_dict()
        detector = MODELS.build(config)
    else:
        folder = read_model(name)
        config = folder.facts.config
        detector = MODELS.build(config)
        detector.load_state_dict(folder.weights())
    return detector.eval(), Network(config, detector.state_dict())


def calls_of(name: str, backends: list[str]) -> dict[str, Callable | str]:
    """By backend what computes the outputs of a patch, or why it cannot."""
    detector, network = build(name)
    found: dict[str, Callable | str] = {}
    for backend in backends:
        try:
            torch_call = detector.outputs_of_tiles
            found[backend] = torch_call if backend == 'torch' else make_runtime(backend, network)
        except UsageError as error:
            found[backend] = str(error)
    return found


def patch_of(name: str, side: int) -> Tensor:
    _, network = build(name)
    step = max(network.detector.divisor)
    patch = network.example(1, 1)
    return torch.randn(1, patch.shape[1], *[-(-side // step) * step] * 3)


@torch.inference_mode()
def seconds_of(calls: dict[str, Callable | str], patch: Tensor, repeat: int) -> dict[str, float]:
    """Shortest wall time of each, taking turns; the first round warms up."""
    usable = {name: call for name, call in calls.items() if callable(call)}
    rounds = [
        {name: _timed(call, patch) for name, call in usable.items()} for _ in range(repeat + 1)
    ]
    return {name: min(times[name] for times in rounds[1:]) for name in usable}


def _timed(call: Callable, patch: Tensor) -> float:
    start = time.perf_counter()
    call(patch)
    return time.perf_counter() - start


def peak_mb(args: argparse.Namespace, name: str, backend: str) -> float | str:
    """Of a process that does nothing but this, or the error that it ended with."""
    command = [sys.executable, __file__, '--memory-of', name, backend]
    command += ['--side', str(args.side), '--threads', str(args.threads)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return (run.stderr.splitlines() or [f'status {run.returncode}'])[-1]
    return float(run.stdout.split()[-1])


def print_memory(name: str, backend: str, side: int) -> None:
    call, patch = calls_of(name, [backend])[backend], patch_of(name, side)
    with torch.inference_mode():
        call(patch)
    print(status_bytes('VmHWM') / 1e6)


def measure(args: argparse.Namespace, name: str) -> dict:
    backends = [name for name in BACKENDS if name == 'torch' or find_spec(name)]
    calls, patch = calls_of(name, backends), patch_of(name, args.side)
    seconds = seconds_of(calls, patch, args.repeat)
    return dict(
        side=patch.shape[-1],
        seconds=seconds,
        peak_mb={backend: peak_mb(args, name, backend) for backend in seconds},
        refused={backend: call for backend, call in calls.items() if isinstance(call, str)},
    )


@torch.inference_mode()
def beside_monai(repeat: int) -> dict[str, float]:
    """Seconds of a search of one scan, ours by each backend, and MONAI's."""
    theirs = monai_detector().eval()
    ours = our_detector(theirs).eval()
    theirs.set_sliding_window_inferer([TILE] * 3, overlap=OVERLAP / TILE, sw_batch_size=1)
    ours.test_cfg.update(tile_size=TILE, tile_overlap=OVERLAP, tile_batch=1)
    scan = torch.rand(1, *[2 * TILE - OVERLAP] * 3)  # eight tiles
    config = load_config(str(ROOT / MONAI_CONFIG)).model.to_dict()
    network = Network(config, ours.state_dict())
    calls = {'MONAI': lambda scan: theirs([scan], use_inferer=True), 'torch': ours.detect}
    for backend in RUNTIMES:
        if find_spec(backend):
            calls[backend] = _detecting_by(make_runtime(backend, network), ours)
    return seconds_of(calls, scan, repeat)


def _detecting_by(runtime: Callable, detector: nn.Module) -> Callable[[Tensor], None]:
    def detect(scan: Tensor) -> None:
        detector.runtime = runtime
        try:
            detector.detect(scan)
        finally:
            detector.runtime = None

    return detect


def show(rows: dict[str, dict]) -> None:
    table = Table(
        'network',
        'patch',
        *(f'{name}, s' for name in BACKENDS),
        *(f'{name}, MB' for name in BACKENDS),
    )
    for name, row in rows.items():
        cells = [f'{row["seconds"][b]:.2f}' if b in row['seconds'] else ABSENT for b in BACKENDS]
        memory = [row['peak_mb'].get(b) for b in BACKENDS]
        cells += [f'{value:.0f}' if isinstance(value, float) else ABSENT for value in memory]
        table.add_row(name, f'{row["side"]}^3', *cells)
    Console(width=200).print(table)
    for name, row in rows.items():
        failed = {b: why for b, why in row['peak_mb'].items() if isinstance(why, str)}
        for backend, reason in {**failed, **row['refused']}.items():
            print(f'{name}, {backend}: {reason}')


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    register_all_modules()
    if args.memory_of:
        print_memory(*args.memory_of, args.side)
        return
    rows = {}
    for name in args.only or default_names():
        rows[name] = measure(args, name)
        print(f'{name}: {rows[name]["seconds"]}', flush=True)
    show(rows)
    searches = {}
    if args.monai:
        searches = beside_monai(args.repeat)
        print(f'seconds of a search of {2 * TILE - OVERLAP}^3 voxels: {searches}')
    if args.json:
        content = dict(forward_passes=rows, beside_monai=searches)
        write_text(args.json, json.dumps(content, indent=2) + '\n')


if __name__ == '__main__':
    run_tool(main)
