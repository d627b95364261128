"""A whole scan from file to findings, by several ways to compute the network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from mmdet.structures import DetDataSample
from timing import gpu_peak_mb
from torch import Tensor, nn
from torch.nn import functional

from mmdet3d_medical.apis import LesionInferencer
from mmdet3d_medical.datasets.phantom import make_scan, phantom_settings
from mmdet3d_medical.inference.scans import Scan, scan_in_memory
from mmdet3d_medical.structures import VolumeGeometry

from .rows import Row, Settings, attempt

MODELS = ('luna16-nodules', 'phantom')
SHAPE = (300, 250, 330)  # at 1 mm
SHRUNK = (96, 96, 96)
COARSE = 3  # mm
LEAST_SCORE = 0.02  # of the findings that are compared


@dataclass
class Prepared:
    """A scan as a model's network gets it.

    Attributes:
        model: The detector.
        data: What its ``test_step`` takes.
        seconds: That it took from voxels in memory to here, on the CPU.
        scores: Of the findings by each way so far, best first.
    """

    model: nn.Module
    data: dict
    seconds: float
    scores: dict[str, list[float]] = field(default_factory=dict)


def rows(settings: Settings) -> Iterator[Row]:
    """Seconds from voxels in memory to boxes, and how these differ from eager float32."""
    torch.backends.cudnn.benchmark = True
    shape = SHRUNK if settings.shrink else SHAPE
    scan = scan_in_memory(synthetic_ct(shape), 'scan')
    for name in MODELS[1:] if settings.shrink else MODELS:
        what = dict(model=name, scan='x'.join(map(str, shape)))
        prepared: list[Prepared] = []
        failed = attempt(what, partial(_prepare, settings, name, scan, prepared))
        if 'failed' in failed:
            yield failed
            continue
        for way in ways(settings):
            yield attempt({**what, 'way': way}, partial(_numbers, settings, way, prepared[0]))


def synthetic_ct(shape: Sequence[int]) -> tuple[np.ndarray, VolumeGeometry]:
    """Voxels (D, H, W) in HU at 1 mm: a coarse phantom, enlarged, as a fine one takes a minute."""
    coarse = [-(-side // COARSE) for side in shape]
    made = make_scan(phantom_settings(shape=coarse, spacing=(float(COARSE),) * 3), seed=0, index=0)
    volume = torch.from_numpy(made.volume)[None, None].float()
    volume = functional.interpolate(volume, size=tuple(shape), mode='trilinear')[0, 0]
    identity = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    return volume.short().numpy(), VolumeGeometry((0, 0, 0), (1, 1, 1), identity, tuple(shape))


def _prepare(settings: Settings, name: str, scan: Scan, into: list[Prepared]) -> Row:
    inferencer = LesionInferencer(name, device=settings.device, backend='torch')
    start = time.perf_counter()
    volume, grid, _ = inferencer.prepare(scan)
    seconds = time.perf_counter() - start
    sample = DetDataSample(metainfo=dict(scan_id='scan', geometry=grid))
    data = dict(inputs=[torch.from_numpy(volume)[None]], data_samples=[sample])
    into.append(Prepared(inferencer.model, data, seconds))
    return {}


def ways(settings: Settings) -> dict[str, Callable]:
    """By name, what makes of a network a function from patches to logits and deltas."""
    backend = dict(backend='eager') if settings.shrink else {}
    made = {
        'eager, float32': lambda network: network,
        'eager, float16': lambda network: _in(settings, 'float16', network),
        'eager, bfloat16': lambda network: _in(settings, 'bfloat16', network),
        'CUDA graph of eager': Graphed,
        'torch.compile': lambda network: torch.compile(network, **backend),
        'torch.compile, CUDA graphs': lambda network: torch.compile(
            network, **(backend or dict(mode='reduce-overhead'))
        ),
    }
    if settings.shrink:
        del made['eager, float16']  # slow on CPUs
    return made


def _in(settings: Settings, precision: str, network: Callable) -> Callable:
    context = settings.precision(precision)

    def call(batch: Tensor):
        with context():
            return network(batch)

    return call


class Graphed:
    """Replays a CUDA graph of a network; one graph for each shape of patches."""

    def __init__(self, network: Callable) -> None:
        self.network = network
        self.graphs: dict[tuple, tuple] = {}

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        shape = tuple(batch.shape)
        if shape not in self.graphs:
            self.graphs[shape] = self._capture(batch)
        graph, inputs, outputs = self.graphs[shape]
        inputs.copy_(batch)
        graph.replay()
        return tuple(out.clone() for out in outputs)

    def _capture(self, batch: Tensor) -> tuple:
        if not batch.is_cuda:
            raise RuntimeError('CUDA graphs need a GPU')
        inputs, stream = batch.clone(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose algorithms outside of the graph
            for _ in range(3):
                self.network(inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.network(inputs)
        return graph, inputs, outputs


def _numbers(settings: Settings, way: str, prepared: Prepared) -> Row:
    """The first call, which chooses, compiles and captures, apart from the others."""
    model = prepared.model
    network, inside = ways(settings)[way](network_of(model)), [0.0]

    def timed(batch: Tensor) -> tuple[Tensor, Tensor]:
        start = _now(settings)
        outs = network(batch)
        inside[0] += _now(settings) - start
        return outs

    @torch.inference_mode()
    def detect() -> list[float]:
        return model.test_step(prepared.data)[0].pred_instances.scores.tolist()

    totals, networks = [], []
    model.runtime = timed
    for _ in range(1 + (settings.repeat + 1) // 2):
        inside[0], start = 0.0, _now(settings)
        scores = [score for score in detect() if score >= LEAST_SCORE]
        totals.append(_now(settings) - start)
        networks.append(inside[0])
    prepared.scores[way] = scores
    detection = statistics.median(totals[1:])
    numbers = {
        'end to end, s': prepared.seconds + detection,
        'of it lungs and resampling': prepared.seconds,
        'network and merging': detection,
        'the network alone': statistics.median(networks[1:]),
        'network and merging, first call': totals[0],
        'findings': len(scores),
        'largest difference of a score': _difference(scores, next(iter(prepared.scores.values()))),
    }
    if settings.on_gpu:
        numbers['peak_mb'] = gpu_peak_mb(detect)
    return numbers


def network_of(model: nn.Module) -> Callable:
    """Patches to logits and deltas, without what only training needs."""
    return lambda batch: model.bbox_head.flatten(model.bbox_head(model.extract_feat(batch)))


def _difference(scores: list[float], others: list[float]) -> float | None:
    """Of the findings in their order, where there are as many."""
    if len(scores) != len(others):
        return None
    return max((abs(a - b) for a, b in zip(scores, others, strict=True)), default=0.0)


def _now(settings: Settings) -> float:
    if settings.on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()
