"""Whether twice the work takes twice the time and memory: scans and marks, boxes, anchors, tiles.

`measure_index.py` does the same for scans of a data set.

Example:
    python projects/benchmark/measure_growth.py --repeat 5
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from benchmark import build, patches, peak_mb, random_boxes, seconds
from rich.console import Console
from rich.table import Table

from mmdet3d_medical.cli.arguments import at_least
from mmdet3d_medical.cli.errors import run_tool
from mmdet3d_medical.evaluation.functional import froc
from mmdet3d_medical.evaluation.marks import Findings, Marks
from mmdet3d_medical.structures import nms3d

CONFIG = 'retina3d/retina3d_fpn_phantom.py'
Work = Callable[[], object]


def froc_of_scans(scans: int) -> Work:
    """60 marks, one nodule and 40 excluded findings a scan on average; 100 bootstraps."""
    rng = np.random.default_rng(0)
    ids = [f'{number:06}' for number in range(scans)]

    def findings(count: int, diameter: float) -> Findings:
        where = [ids[i] for i in rng.integers(0, scans, count)]
        places = rng.uniform(-150, 150, (count, 3))
        return Findings(where, places, np.full(count, diameter), [''] * count)

    count = 60 * scans
    marks = Marks(
        np.repeat(ids, 60).tolist(),
        rng.uniform(-150, 150, (count, 3)),
        rng.random(count),
        np.full(count, 8.0),
        [''] * count,
        np.full((count, 3), np.nan),
    )
    truth = findings(scans, 8.0), findings(40 * scans, -1.0)
    return lambda: froc(ids, marks, *truth, bootstraps=100)


def nms_of_boxes(count: int) -> Work:
    """50 boxes around each of the centers."""
    boxes, scores = random_boxes(count, count // 50, seed=0)
    return lambda: nms3d(boxes, scores, 0.1)


def targets_of_anchors(depth: int) -> Work:
    """Targets of a patch of 64 x 64 voxels with three lesions."""
    head = build(CONFIG).bbox_head
    _, samples = patches(1, 64)
    shape = (depth, 64, 64)
    meta = dict(batch_input_shape=shape)
    return lambda: head.get_targets(head.priors(shape), [samples[0].gt_instances], [meta])


def search_of_tiles(depth: int) -> Work:
    """A scan of 64 x 64 voxels in tiles of 64."""
    model = build(CONFIG).eval()
    model.test_cfg.update(tile_size=64, tile_overlap=16, tile_batch=1)
    scan = torch.randn(1, depth, 64, 64)
    return torch.no_grad()(lambda: model.detect(scan))


GROWING = {
    'FROC: scans of 60 marks': (froc_of_scans, 2000),
    'NMS: boxes': (nms_of_boxes, 20_000),
    'targets: depth of a patch of 64 x 64, 1,168 anchors a slice': (targets_of_anchors, 256),
    'search: depth of a scan of 64 x 64, a tile for each 48 slices': (search_of_tiles, 496),
}


def rows(repeat: int, shrink: int) -> Iterator[tuple[str, int, list[float], list[float | None]]]:
    """Name, size, and seconds and MB for once and twice the size."""
    for name, (make, size) in GROWING.items():
        size = max(size // shrink // 16 * 16, 16)
        works = [make(size), make(2 * size)]
        for work in works:
            work()  # what is kept from the first call on is no call's peak
        yield name, size, seconds(works, repeat), [peak_mb(work) for work in works]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeat', type=at_least(1), default=5, help='calls timed (default: 5)')
    parser.add_argument(
        '--shrink', type=at_least(1), default=1, help='a part of the sizes, for a try (default: 1)'
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = Table('what grows', 'size', 'seconds', 'twice', 'ratio', 'MB', 'twice ', 'ratio ')
    for name, size, times, memory in rows(args.repeat, args.shrink):
        cells = [f'{size:,}', *_cells(times, '.3f'), *_cells(memory, '.1f')]
        table.add_row(name, *cells)
    Console(width=160).print(table)


def _cells(pair: list[float | None], form: str) -> list[str]:
    if None in pair:
        return ['-'] * 3
    ratio = pair[1] / pair[0] if pair[0] else float('nan')
    return [format(pair[0], form), format(pair[1], form), f'{ratio:.2f}']


if __name__ == '__main__':
    run_tool(main)
