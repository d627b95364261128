"""Time the package against naive baselines, on the same inputs in the same run.

Example:
    python projects/benchmark/benchmark.py --only nms froc --json benchmark.json
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table

from mmdet3d_medical.cli.arguments import out_file
from mmdet3d_medical.datasets.transforms.loading import open_volume
from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.functional.froc import FP_RATES, Matches, match_marks
from mmdet3d_medical.evaluation.marks import Findings, Marks
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import (
    VolumeGeometry,
    box_iou3d,
    centers_sizes_to_corners,
    nms3d,
)
from mmdet3d_medical.utils import register_all_modules
from mmdet3d_medical.utils.files import write_text

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ENOUGH_SECONDS = 5.0  # no more repetitions after so long


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: What is done.
        seconds: Median time of the package.
        baseline: What it is compared with.
        baseline_seconds: Median time of that.
        peak_mb: Memory the package took beyond what was in use before; None if unknown.
        baseline_peak_mb: Memory the baseline took.
    """

    name: str
    seconds: float
    baseline: str
    baseline_seconds: float
    peak_mb: float | None
    baseline_peak_mb: float | None


def compare(name: str, ours: Callable, baseline_name: str, baseline: Callable, repeat: int) -> Row:
    """Time two functions without arguments that do the same work."""
    ours()  # what is kept from the first call on is no call's peak
    memory, baseline_memory = peak_mb(ours), peak_mb(baseline)
    times = seconds((ours, baseline), repeat)
    return Row(name, times[0], baseline_name, times[1], memory, baseline_memory)


def seconds(functions: Sequence[Callable], repeat: int) -> list[float]:
    """Median wall time of up to ``repeat`` calls of each function, fewer when they take long.

    They take turns, so that other work on the machine slows all of them down.
    """
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for function, mine in zip(functions, times, strict=True):
            if sum(mine) < ENOUGH_SECONDS:
                start = time.perf_counter()
                function()
                mine.append(time.perf_counter() - start)
    return [statistics.median(mine) for mine in times]


def peak_mb(function: Callable) -> float | None:
    """Call a function; how far memory rose meanwhile, in 10^6 bytes, where Linux can tell."""
    reset = Path('/proc/self/clear_refs')
    if not reset.exists():
        function()
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before would be used again, uncounted
    reset.write_text('5')  # the peak starts again from what is in use now
    before = status_bytes('VmRSS')
    function()
    return max(status_bytes('VmHWM') - before, 0) / 1e6


def status_bytes(field: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ':'))


def random_boxes(count: int, centers: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes and scores, scattered over 500^3 voxels or, if ``centers`` > 0, around so many."""
    rng = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 3, generator=rng) * 500
    if centers:
        chosen = torch.randint(centers, (count,), generator=rng)
        middle = middle[chosen] + 2 * torch.randn(count, 3, generator=rng)
    sizes = 4 + 26 * torch.rand(count, 1 if centers else 3, generator=rng).expand(count, 3)
    return centers_sizes_to_corners(middle, sizes), torch.rand(count, generator=rng)


def row_by_row_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Keep the best box, drop what overlaps it, repeat."""
    rest, keep = np.argsort(-scores, kind='stable'), []
    while len(rest):
        keep.append(rest[0])
        ious = numpy_iou(boxes[rest[:1]], boxes[rest])[0]
        rest = rest[1:][ious[1:] <= threshold]
    return keep


def numpy_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU matrix, one axis at a time."""
    inter = np.ones((len(a), len(b)), a.dtype)
    for axis in range(3):
        low = np.maximum(a[:, None, axis], b[None, :, axis])
        high = np.minimum(a[:, None, axis + 3], b[None, :, axis + 3])
        inter *= np.clip(high - low, 0, None)
    volume_a, volume_b = ((box[:, 3:] - box[:, :3]).prod(1) for box in (a, b))
    return inter / (volume_a[:, None] + volume_b - inter)


def bench_nms(repeat: int) -> list[Row]:
    rows = []
    for name, centers in (('scattered', 0), ('around 50 centers', 50), ('around 5 centers', 5)):
        boxes, scores = random_boxes(20_000, centers, seed=0)
        arrays = boxes.numpy(), scores.numpy()
        assert nms3d(boxes, scores, 0.1).tolist() == row_by_row_nms(*arrays, 0.1)
        rows.append(
            compare(
                f'NMS of 20,000 boxes {name}',
                lambda boxes=boxes, scores=scores: nms3d(boxes, scores, 0.1),
                'row by row, numpy',
                lambda arrays=arrays: row_by_row_nms(*arrays, 0.1),
                repeat,
            )
        )
    return rows


def bench_iou(repeat: int) -> list[Row]:
    a, b = random_boxes(5000, 0, seed=0)[0], random_boxes(5000, 0, seed=1)[0]
    ours = lambda: box_iou3d(a, b)  # noqa: E731
    naive = lambda: numpy_iou(a.numpy(), b.numpy())  # noqa: E731
    return [compare('IoU matrix, 5,000 x 5,000', ours, 'numpy broadcasting', naive, repeat)]


def luna16_sized_case() -> tuple[list[str], Marks, Findings, Findings]:
    """888 scans with 60 marks each, 1,186 nodules, 35,000 excluded findings, all at random."""
    rng = np.random.default_rng(0)
    scans = [f'{number:05}' for number in range(888)]

    def findings(count, diameter):
        positions = rng.uniform(-150, 150, (count, 3))
        ids = [scans[i] for i in rng.integers(0, len(scans), count)]
        return Findings(ids, positions, np.full(count, diameter), [''] * count)

    nodules, excluded = findings(1186, 8.0), findings(35_000, -1.0)
    ids, count = np.repeat(scans, 60).tolist(), 888 * 60
    marks = Marks(ids, rng.uniform(-150, 150, (count, 3)), rng.random(count),
                  np.full(count, 8.0), [''] * count, np.full((count, 3), np.nan))  # fmt: skip
    return scans, marks, nodules, excluded


def bench_froc(repeat: int) -> list[Row]:
    case = luna16_sized_case()
    timed, wanted = 20, 1000
    ours = lambda: froc(*case, bootstraps=wanted)  # noqa: E731
    matches = match_marks(*case)
    naive = lambda: resampled_froc(matches, timed)  # noqa: E731
    row = compare(
        'FROC, 1,000 bootstraps: 888 scans x 60 marks, 35,000 excluded findings',
        ours,
        f'pool and sort the drawn scans each time ({timed} timed, scaled)',
        naive,
        repeat,
    )
    return [row._replace(baseline_seconds=row.baseline_seconds * wanted / timed)]


def resampled_froc(matches: Matches, samples: int) -> list[np.ndarray]:
    """Sensitivities of bootstraps, each pooled from its scans and sorted anew."""
    scans = len(matches.nodules)
    per_scan = [np.flatnonzero(matches.scans == scan) for scan in range(scans)]
    rng, sensitivities = np.random.default_rng(0), []
    for _ in range(samples):
        drawn = rng.integers(0, scans, scans)
        rows = np.concatenate([per_scan[scan] for scan in drawn])
        hits = matches.hits[rows[np.argsort(-matches.scores[rows], kind='stable')]]
        curve = np.cumsum(~hits) / scans, np.cumsum(hits) / matches.nodules[drawn].sum()
        sensitivities.append(np.interp(FP_RATES, *curve))
    return sensitivities


def bench_crop(repeat: int) -> list[Row]:
    geometry = VolumeGeometry((0, 0, 0), (1, 1, 1), (1, 0, 0, 0, 1, 0, 0, 0, 1), (320, 400, 400))
    corner = (slice(90, 218), slice(130, 258), slice(130, 258))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'volume.npy')
        np.save(path, np.zeros(geometry.shape, np.int16))
        ours = lambda: np.array(open_volume(path, geometry, 'scan')[corner])  # noqa: E731
        naive = lambda: np.load(path)[corner].copy()  # noqa: E731
        name = '128^3 crop out of 320 x 400 x 400 voxels on disk'
        return [compare(name, ours, 'load the whole file', naive, repeat)]


def bench_train(repeat: int) -> list[Row]:
    """What targets and losses cost on top of the network."""
    model = build('retina3d/retina3d_fpn_phantom.py').train()
    batch, samples = patches(2, 48)
    ours = lambda: sum(model.loss(batch, samples).values()).backward()  # noqa: E731

    def network_alone():
        logits, deltas = model.bbox_head.flatten(model(batch))
        (logits.mean() + deltas.mean()).backward()

    name = 'training step, 2 patches of 48^3, 3 lesions each'
    return [compare(name, ours, 'forward and backward of the network alone', network_alone, repeat)]


def bench_focalmix(repeat: int) -> list[Row]:
    """What guessing, MixUp and losses cost on top of the passes through the network."""
    model = build('focalmix/retina3d_fpn_phantom.py').train()
    half, views = 4, model.targets.views.num
    batch, samples = patches(2 * half, 32)
    parts = [dict(sup=part[:half], unsup=part[half:]) for part in (batch, samples)]
    ours = lambda: sum(model.loss(*parts).values()).backward()  # noqa: E731

    def passes():
        with torch.no_grad():
            for _ in range(views):
                model.detector(batch[half:])
        sum(model.detector.loss(batch, samples).values()).backward()

    name = f'FocalMix step, {half} labeled + {half} unlabeled patches of 32^3'
    baseline = f'{views} forward passes of the unlabeled patches, a supervised step of all'
    return [compare(name, ours, baseline, passes, repeat)]


@torch.no_grad()
def bench_inference(repeat: int) -> list[Row]:
    """A scan in one tile against the usual small ones at half overlap."""
    model, scan = build('retina3d/retina3d_fpn_phantom.py').eval(), torch.randn(1, 96, 96, 120)
    windows = copy.deepcopy(model)
    windows.test_cfg.update(tile_size=48, tile_overlap=24)
    name = 'scan of 96 x 96 x 120 voxels, in one tile'
    ours, naive = (lambda m=m: m.detect(scan) for m in (model, windows))
    return [compare(name, ours, 'tiles of 48 at half overlap', naive, repeat)]


def build(config: str) -> torch.nn.Module:
    """The untrained model of a config, with scores as low as a trained one's."""
    register_all_modules(init_default_scope=False)
    MMLogger.get_instance('mmengine').setLevel('WARNING')  # no line for each weight
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIGS / config).model)
    model.init_weights()
    return model


def patches(number: int, side: int) -> tuple[torch.Tensor, list[DetDataSample]]:
    """Patches of noise (number, 1, side, side, side) with three lesions of 5 voxels each."""
    corners = random_boxes(3, 1, seed=0)[0][:, :3] % (side - 8)
    boxes = torch.cat([corners, corners + 5], dim=1)
    lesions = InstanceData(bboxes=boxes, labels=torch.zeros(3).long())
    samples = [DetDataSample(gt_instances=lesions) for _ in range(number)]
    return torch.randn(number, 1, side, side, side), samples


BENCHMARKS: dict[str, Callable[[int], list[Row]]] = {
    'nms': bench_nms,
    'iou': bench_iou,
    'froc': bench_froc,
    'crop': bench_crop,
    'train': bench_train,
    'focalmix': bench_focalmix,
    'inference': bench_inference,
}


def print_rows(rows: list[Row]) -> None:
    table = Table('work, and what it is compared with', 'seconds', 'peak MB', 'times faster')
    for row in rows:
        ratio = f'{row.baseline_seconds / row.seconds:.3g}'
        table.add_row(row.name, *_cells(row.seconds, row.peak_mb), ratio)
        baseline = _cells(row.baseline_seconds, row.baseline_peak_mb)
        table.add_row(f'  {row.baseline}', *baseline, end_section=True)
    Console().print(table)


def _cells(seconds: float, peak_mb: float | None) -> tuple[str, str]:
    return f'{seconds:.4f}', '-' if peak_mb is None else f'{peak_mb:.0f}'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--only', nargs='+', choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument('--repeat', type=int, default=3, help='calls timed, at most (default: 3)')
    parser.add_argument('--threads', type=int, default=1, help='threads of torch (default: 1)')
    parser.add_argument(
        '--json', type=out_file, metavar='OUT.json', help='write the rows to this file'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name in args.only:
        print(f'{name} ...', flush=True)
        rows += BENCHMARKS[name](args.repeat)
    print_rows(rows)
    if args.json:
        write_text(args.json, json.dumps([row._asdict() for row in rows], indent=2) + '\n')


if __name__ == '__main__':
    main()
