"""Scans preprocessed tile by tile: the same results, little memory."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmdet3d_medical.models.data_preprocessors import VolumeDataPreprocessor
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import VolumeGeometry
from mmdet3d_medical.utils.cost import _CostCounter

SHAPES = [(37, 25, 19), (18, 41, 30)]
LOCATED = dict(type='LocationDataPreprocessor', pad_size_divisor=8)
TILES = dict(tile_size=24, tile_overlap=8, tile_batch=3, score_thr=0.0, nms_pre=200)
WHOLE = dict(score_thr=0.0, nms_pre=200)
VIEWED = dict(TILES, tta=dict(flip_axes=(1,), permute_axes=()))


def scans(make_batch, shapes=SHAPES) -> dict:
    """A batch of int16 parts of a larger, mirrored scan of thick slices."""
    batches = [make_batch(1, shape, seed=number) for number, shape in enumerate(shapes)]
    mirrored = (-1, 0, 0, 0, 1, 0, 0, 0, 1)
    whole = VolumeGeometry((5, 6, 7), (0.7, 0.7, 1.3), mirrored, (50, 50, 50))
    for batch, shape in zip(batches, shapes, strict=True):
        geometry = whole.cropped((4, 9, 12), shape)
        batch['data_samples'][0].set_metainfo(dict(geometry=geometry, scan_geometry=whole))
    return {key: [batch[key][0] for batch in batches] for key in batches[0]}


def build(cfg) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    torch.nn.init.normal_(getattr(model, 'detector', model).bbox_head.classify.weight, std=0.3)
    return model


def found_in(samples) -> list:
    parts = [sample.pred_instances for sample in samples]
    return [(part.bboxes, part.scores, part.labels) for part in parts]


def with_positions(small_detector, **changes) -> dict:
    backbone = dict(small_detector()['backbone'], in_channels=4)
    return small_detector(data_preprocessor=LOCATED, backbone=backbone, **changes)


def focalmix(small_detector, **changes) -> dict:
    return dict(type='FocalMixDetector', detector=with_positions(small_detector, **changes))


def plain(small_detector, **changes) -> dict:
    preprocessor = dict(type='VolumeDataPreprocessor', pad_size_divisor=8, pad_value=0.25)
    return small_detector(data_preprocessor=preprocessor, **changes)


@pytest.mark.tried(
    'faults', 'a large scan is tested', 'preprocessed tile by tile, results the same to the bit'
)
@pytest.mark.parametrize('amp', [False, True])
@pytest.mark.parametrize('settings', [TILES, WHOLE, VIEWED], ids=['tiles', 'whole', 'tta'])
@pytest.mark.parametrize('make', [plain, with_positions, focalmix])
@torch.no_grad()
def test_tiles_preprocessed_alone_give_the_same_to_the_last_bit(
    small_detector, make_batch, make, settings, amp
):
    model = build(make(small_detector, test_cfg=settings))
    with torch.autocast('cpu', torch.bfloat16, enabled=amp):
        whole = model.data_preprocessor(copy.deepcopy(scans(make_batch)))
        before = found_in(model(**whole, mode='predict'))
        by_tile = found_in(model.test_step(scans(make_batch)))
        val = found_in(model.val_step(scans(make_batch)))
    assert all(len(boxes) > 2 for boxes, *_ in before)
    for other in (by_tile, val):
        torch.testing.assert_close(other, before, rtol=0, atol=0)


@pytest.mark.parametrize('kind', ['VolumeDataPreprocessor', 'LocationDataPreprocessor'])
def test_parts_of_lazy_scans_are_those_of_the_batch(make_batch, kind):
    preprocessor = MODELS.build(dict(type=kind, pad_value=0.5))
    batch = scans(make_batch, SHAPES[:1])
    whole = preprocessor(copy.deepcopy(batch))['inputs'][0]
    scan = preprocessor.scans(batch)['inputs'][0]
    part = (slice(None), slice(8, 24), slice(16, 40), slice(0, 24))  # two ends lie beyond the scan
    assert scan[part].shape[1:] == (16, 9, 19)
    assert torch.equal(scan[part], whole[part])
    assert batch['inputs'][0].dtype == torch.int16


def test_no_more_than_a_batch_of_tiles_is_ever_prepared(small_detector, make_batch, monkeypatch):
    model = build(plain(small_detector, test_cfg=TILES))
    sizes, prepare = [], VolumeDataPreprocessor.prepare
    monkeypatch.setattr(
        VolumeDataPreprocessor, 'prepare',
        lambda self, part, *args: (sizes.append(part.numel()), prepare(self, part, *args))[1],
    )  # fmt: skip
    monkeypatch.setattr(VolumeDataPreprocessor, 'forward', None)  # never asked for the whole
    model.test_step(scans(make_batch))
    assert max(sizes) <= 24**3 and sum(sizes) >= sum(torch.Size(s).numel() for s in SHAPES)


@pytest.mark.parametrize('make', [plain, with_positions, focalmix])
@torch.no_grad()
def test_tensors_take_no_more_for_a_larger_scan(small_detector, make_batch, make):
    """Beyond its int16 voxels. Counted: what the process holds depends on its allocator."""
    model, peaks = build(make(small_detector, test_cfg=dict(TILES, score_thr=1.0))), []
    for shape in ((48, 48, 48), (48, 96, 96)):
        with FlopCounterMode(display=False) as flops, _CostCounter(flops) as counter:
            model.test_step(scans(make_batch, [shape]))
        peaks.append(counter.peak - 2 * torch.Size(shape).numel())
    assert peaks[0] == peaks[1]


def test_a_preprocessor_with_a_forward_of_its_own_is_still_asked(small_detector, make_batch):
    class Darker(VolumeDataPreprocessor):
        def forward(self, data, training=False):
            batch = super().forward(data, training)
            return dict(batch, inputs=batch['inputs'] - 1)

    MODELS.register_module(module=Darker, force=True)
    model = build(small_detector(data_preprocessor=dict(type='Darker', pad_size_divisor=8)))
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.test_step(scans(make_batch))
    assert all(part.min() < -1.9 for part in seen)


def test_focalmix_asks_its_own_preprocessor(small_detector, make_batch):
    own = dict(type='VolumeDataPreprocessor', pad_size_divisor=8, value_range=(7.0, 8.0))
    cfg = dict(type='FocalMixDetector', detector=plain(small_detector), data_preprocessor=own)
    model, seen = build(cfg), []
    model.detector.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.test_step(scans(make_batch, [(16, 16, 16)]))
    assert seen[0].min() >= 7


def test_volumes_without_a_channel_are_refused():
    with pytest.raises(ValueError, match='expected volumes'):
        VolumeDataPreprocessor().scans(dict(inputs=[torch.zeros(8, 8, 8)]))
