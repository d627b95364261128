"""The whole detector: overfitting, tiles, empty scans, odd input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from mmdet3d_medical.models.detectors.tiling import cut_tiles
from mmdet3d_medical.models.layers import RecomputedConvModule, WinogradConv3d, winograd_conv3d
from mmdet3d_medical.registry import MODELS


@given(
    st.tuples(*[st.integers(1, 70)] * 3),
    st.tuples(*[st.sampled_from([8, 16, 24])] * 3),
    st.tuples(*[st.integers(0, 7)] * 3),
    st.tuples(*[st.sampled_from([2, 4, 8])] * 3),
)
@settings(deadline=None, max_examples=60)
def test_tiles_cover_the_scan_and_cores_partition_it(shape, tile, overlap, divisor):
    if any((t - o) // d < 1 for t, o, d in zip(tile, overlap, divisor, strict=True)):
        with pytest.raises(ValueError, match='do not advance'):
            cut_tiles(shape, tile, overlap, divisor)
        return
    tiles = cut_tiles(shape, tile, overlap, divisor)
    assert len({t.shape for t in tiles}) == 1
    for axis, step in enumerate(divisor):
        end = max(t.start[axis] + t.shape[axis] for t in tiles)
        assert end == max(shape[axis], step)  # inside the scan, if it has that many voxels
        last = max(t.start[axis] for t in tiles)
        assert all(t.start[axis] % step == 0 for t in tiles if t.start[axis] < last)
        assert all(t.shape[axis] % step == 0 and t.shape[axis] <= tile[axis] for t in tiles)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(200, 3, generator=generator) * torch.tensor(shape)
    points = torch.cat([points, points.floor()])  # borders of cores included
    owners = torch.stack([t.owns(torch.cat([points, points], 1)) for t in tiles])
    assert (owners.sum(0) == 1).all()
    for t, mine in zip(tiles, owners, strict=True):
        start, end = torch.tensor(t.start), torch.tensor(t.start) + torch.tensor(t.shape)
        assert ((points[mine] >= start) & (points[mine] <= end)).all()
        # Where a core ends inside the scan, at least half the overlap lies beyond it, or of what
        # two tiles share that are shorter than the scan by less than a stride.
        for axis, step in enumerate(divisor):
            half = min(overlap[axis], 2 * (shape[axis] // step * step) - shape[axis]) / 2
            if not math.isinf(t.core_end[axis]):
                assert end[axis] - t.core_end[axis] >= half
            if not math.isinf(t.core_start[axis]):
                assert t.core_start[axis] - start[axis] >= half


def test_tiles_by_hand():
    # 40 voxels, tiles of 24 with overlap 8: two tiles at 0 and 16, cores meet at (24 + 16) / 2.
    tiles = cut_tiles((40, 8, 8), (24, 8, 8), (8, 0, 0), (8, 8, 8))
    assert [t.start for t in tiles] == [(0, 0, 0), (16, 0, 0)]
    assert [t.core_end[0] for t in tiles] == [20, math.inf]
    # 50 voxels at a stride of 8 with an overlap of 24: two tiles of (50 + 24) / 2 = 37, that is
    # 40, the second of which ends with the scan. Their cores meet at (40 + 10) / 2.
    tiles = cut_tiles((50, 8, 8), (64, 8, 8), (24, 0, 0), (8, 8, 8))
    assert [t.shape[0] for t in tiles] == [40, 40]
    assert [t.start[0] for t in tiles] == [0, 10]
    assert [t.core_end[0] for t in tiles] == [25, math.inf]
    # 20 voxels are too few for an overlap of 24: two tiles of 16 share the 12 that they can.
    assert [t.start[0] for t in cut_tiles((20, 8, 8), (64, 8, 8), (24, 0, 0), (8, 8, 8))] == [0, 4]


def test_tiles_must_fit_the_stride():
    with pytest.raises(ValueError, match='no multiple'):
        cut_tiles((40, 40, 40), (20, 16, 16), (0, 0, 0), (8, 8, 8))


def build(cfg) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    # Scores that differ; boxes near their anchors, as a trained network has them.
    for conv, std in ((model.bbox_head.classify, 0.3), (model.bbox_head.regress, 0.01)):
        torch.nn.init.normal_(conv.weight, std=std)
        torch.nn.init.zeros_(conv.bias)
    return model.eval()


def one_level(**changes) -> dict:
    """Parts whose receptive field is small: stride 2, three 3^3 convolutions per block."""
    return dict(
        backbone=dict(
            type='ResNet3D',
            depth=18,
            base_channels=4,
            stem_kernel=3,
            strides=(1,),
            out_indices=(0,),
            norm_cfg=None,
        ),
        neck=None,
        bbox_head=dict(
            type='Retina3DHead',
            num_classes=1,
            in_channels=4,
            feat_channels=4,
            stacked_convs=1,
            anchor_generator=dict(type='Anchor3DGenerator', strides=[2], sizes=[[3, 5]]),
            assigner=dict(type='ATSS3DAssigner', topk=4),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.L1Loss'),
            **changes,
        ),
    )


def boxes_and_scores(model, volume, tile_size):
    model.test_cfg.update(
        tile_size=tile_size,
        tile_overlap=32,
        score_thr=0,
        nms_pre=10**6,
        nms_iou=1.0,
        max_per_scan=10**6,
        tile_batch=3,
    )
    found = model.detect(volume)
    return torch.cat([found.bboxes, 10 * found.scores[:, None]], dim=1)


@torch.no_grad()
def test_tiles_see_what_the_whole_scan_shows(small_detector):
    # Receptive field: 1 + 2 * (1 stem + 2 * (4 + 2)) = 27 voxels, 13 to each side < 32 / 2.
    model = build(small_detector(**one_level()))
    volume = torch.randn(1, 76, 40, 44)
    tiled = boxes_and_scores(model, volume, (48, 40, 40))
    whole = boxes_and_scores(model, volume, None)
    # A center that lies on a border of cores to rounding may be in both, or in none.
    assert abs(len(tiled) - len(whole)) <= 2 and len(whole) > 10_000
    distance, partner = cKDTree(tiled).query(whole)
    assert (distance >= 1e-3).sum() <= 2
    assert len(set(partner)) >= len(whole) - 2


@torch.no_grad()
def test_nothing_but_the_scan_is_shown_to_the_network(small_detector):
    """Sides that are no multiples of the stride are not padded: padding is taken for lesions."""
    model = build(small_detector(test_cfg=dict(tile_size=32, tile_overlap=8)))
    volume, seen = torch.rand(1, 19, 45, 33) + 1, []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.detect(volume)
    assert len(seen) > 1
    assert all((part >= 1).all() for part in seen)


@torch.no_grad()
def test_a_scan_thinner_than_the_stride_is_continued_by_its_last_slice(small_detector):
    model, seen = build(small_detector(test_cfg=dict(tile_size=32, tile_overlap=8))), []
    volume = torch.rand(1, 3, 32, 32) + 1
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.detect(volume)
    (part,) = seen
    assert part.shape[2] > 3
    assert torch.equal(part[0, :, :3], volume)
    assert (part[0, :, 3:] == volume[:, 2:]).all()


@torch.no_grad()
def test_predictions_lie_in_the_scan_best_first(small_detector, make_batch):
    model = build(small_detector(test_cfg=dict(tile_size=16, tile_overlap=8, score_thr=0.001)))
    batch = make_batch(2, (19, 23, 17))
    batch['inputs'][1] = batch['inputs'][1][:, :9]  # padded to the other's size
    batch = model.data_preprocessor(batch)
    first, second = (s.pred_instances for s in model(**batch, mode='predict'))
    for found, depth in ((first, 19), (second, 9)):
        assert 0 < len(found) <= 100
        assert found.bboxes.min() >= 0
        assert (found.bboxes[:, 3:] <= torch.tensor([depth, 23, 17])).all()
        assert (found.scores.diff() <= 0).all()


@torch.no_grad()
def test_nothing_found_is_legal(small_detector, make_batch):
    model = build(small_detector(test_cfg=dict(score_thr=1.0)))
    batch = model.data_preprocessor(make_batch(1, (16, 16, 16)))
    found = model(**batch, mode='predict')[0].pred_instances
    assert found.bboxes.shape == (0, 6) and found.scores.shape == (0,)


def commuting(small_detector, block_detector, **test_cfg):
    """A detector whose boxes are priors, scored by their content."""
    model = MODELS.build(small_detector(test_cfg=dict(nms_pre=10**6, **test_cfg)))
    model.backbone, model.neck = torch.nn.Identity(), None
    model.bbox_head = block_detector(stride=2, sizes=(4, 6)).bbox_head
    return model.eval()


@pytest.mark.parametrize('merge', ['nms', 'wbc'])
@pytest.mark.parametrize('views', [dict(), dict(permute_axes=()), dict(flip_axes=(1,))], ids=str)
@torch.no_grad()
def test_views_change_nothing_for_a_network_that_commutes(
    small_detector, block_detector, views, merge
):
    volume = torch.randn(1, 24, 40, 16, generator=torch.Generator().manual_seed(0))
    tiles = dict(tile_size=16, tile_overlap=8)
    alone = commuting(small_detector, block_detector, **tiles).detect(volume)
    viewed = commuting(small_detector, block_detector, tta=views, merge=merge, **tiles)
    found = viewed.detect(volume)
    assert len(alone) == 100
    torch.testing.assert_close(found.bboxes, alone.bboxes, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.scores, alone.scores)


@torch.no_grad()
def test_what_half_of_the_views_show_has_half_its_score(small_detector, block_detector):
    settings = dict(tta=dict(permute_axes=()), score_thr=0.4)
    scores = {}
    for merge in ('nms', 'wbc'):
        model = commuting(small_detector, block_detector, merge=merge, **settings)
        blind, forward = model.bbox_head, model.bbox_head.forward

        def see_the_first_half(volume, forward=forward):
            outs = forward(volume)
            outs['means'][:, :, outs['means'].shape[2] // 2 :] = -10.0
            return outs

        blind.forward = see_the_first_half
        volume = torch.full((1, 16, 16, 16), -10.0)
        volume[:, 9:13, 5:9, 5:9] = 1.0  # four of the eight views bring it to the first half
        found = model.detect(volume)
        assert found.bboxes[0].tolist() == pytest.approx([9, 5, 5, 13, 9, 9])
        scores[merge] = found.scores.tolist()
    probability = torch.tensor(1.0).sigmoid().item()
    assert scores['nms'] == pytest.approx([probability])
    assert scores['wbc'] == pytest.approx([probability / 2])


@torch.no_grad()
def test_axes_of_unlike_spacing_are_not_exchanged(small_detector, block_detector):
    model = commuting(small_detector, block_detector, tta=dict(flip_axes=()))
    shape = (16, 16, 16)
    assert len(model._views(shape, None)) == len(model._views(shape, (1.0, 1.0, 1.0))) == 6
    assert len(model._views(shape, (2.5, 1.0, 1.0))) == 2


def test_it_learns_a_patch_by_heart(small_detector, make_sample):
    """A bright block on noise is found, with its box, after some steps."""
    torch.manual_seed(0)
    model = MODELS.build(small_detector())
    model.init_weights()
    volume = torch.randn(1, 1, 24, 24, 24) * 0.05 - 0.8
    volume[..., 5:10, 12:17, 8:13] = 0.5
    sample = make_sample([[5, 12, 8, 10, 17, 13]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        sum(model.loss(volume, [sample]).values()).backward()
        optimizer.step()
    found = model.eval().detect(volume[0])
    torch.testing.assert_close(found.bboxes[0], sample.gt_instances.bboxes[0], atol=0.7, rtol=0)
    assert found.scores[0] > 0.5


@pytest.mark.parametrize('boxes', [[], [[3, 4, 5, 8, 9, 9]]])
def test_training_step_with_and_without_lesions(small_detector, make_batch, boxes):
    model = MODELS.build(small_detector())
    batch = model.data_preprocessor(make_batch(2, (16, 24, 16), boxes))
    losses = model(**batch, mode='loss')
    assert set(losses) == {'loss_cls', 'loss_bbox'}
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_scans_without_annotations_are_not_taken_for_healthy(small_detector, make_batch):
    model = MODELS.build(small_detector())
    batch = model.data_preprocessor(make_batch(1, (16, 16, 16), []))
    batch['data_samples'][0].set_metainfo(dict(scan_id='007', annotated=False))
    with pytest.raises(ValueError, match='scan 007 has no annotations'):
        model(**batch, mode='loss')


def test_a_head_without_the_protocol_is_refused(small_detector):
    @MODELS.register_module(force=True)
    class BareHead(torch.nn.Module):
        pass

    with pytest.raises(TypeError, match='BareHead lacks priors, flatten, get_targets'):
        MODELS.build(small_detector(bbox_head=dict(type='BareHead')))


def test_unknown_test_settings_are_refused(small_detector):
    with pytest.raises(ValueError, match='score_threshold'):
        MODELS.build(small_detector(test_cfg=dict(score_threshold=0.1)))
    with pytest.raises(ValueError, match="merge must be one of .*, found 'mean'"):
        MODELS.build(small_detector(test_cfg=dict(merge='mean')))
    with pytest.raises(ValueError, match="flip_axes and permute_axes, found {'num'}"):
        MODELS.build(small_detector(test_cfg=dict(tta=dict(num=4))))


def test_the_order_in_memory_changes_no_result(small_detector):
    torch.manual_seed(0)
    plain = MODELS.build(small_detector()).eval()
    other = MODELS.build(small_detector(channels_last=True)).eval()
    other.load_state_dict(plain.state_dict())
    stem = next(weight for weight in other.parameters() if weight.dim() == 5 and len(weight[0]) > 1)
    assert stem.is_contiguous(memory_format=torch.channels_last_3d)
    assert not stem.is_contiguous()
    inputs = torch.randn(2, 1, 16, 24, 32)
    for ours, theirs in zip(other.extract_feat(inputs), plain.extract_feat(inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('options', [dict(), dict(channels_last=True)])
def test_winograd_changes_no_result_and_no_checkpoint(small_detector, monkeypatch, options):
    monkeypatch.setattr(winograd_conv3d, 'pays_off', lambda channels, shape: True)
    torch.manual_seed(0)
    plain = MODELS.build(small_detector()).eval()
    other = MODELS.build(small_detector(winograd=True, **options)).eval()
    assert any(isinstance(part, WinogradConv3d) for part in other.bbox_head.modules())
    other.load_state_dict(plain.state_dict())
    inputs = torch.randn(2, 1, 16, 24, 32)
    for ours, theirs in zip(*(model._forward(inputs) for model in (other, plain)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('with_cp', [False, True])
def test_recomputing_activations_changes_no_gradient(small_detector, make_batch, watch, with_cp):
    results = []
    for on in (False, True):
        torch.manual_seed(0)
        cfg = small_detector(recompute_activations=on)
        cfg['backbone'].update(norm_cfg=dict(type='BN3d'), with_cp=with_cp)
        cfg['bbox_head'].update(norm_cfg=dict(type='GN', num_groups=2))
        model = MODELS.build(cfg)
        assert any(isinstance(part, RecomputedConvModule) for part in model.modules()) == on
        batch = model.data_preprocessor(make_batch(2, (16, 24, 16)), True)
        alive = watch(*model.bbox_head.cls_branch)
        losses = model(**batch, mode='loss')
        assert any(alive()) != on
        sum(losses.values()).backward()
        results.append((losses, {name: part.grad for name, part in model.named_parameters()}))
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_backbones_with_matrices_may_be_channels_last(small_detector):
    class WithMatrix(MODELS.get('ResNet3D')):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.matrix = torch.nn.Parameter(torch.zeros(2, 3, 4, 5))

    MODELS.register_module(module=WithMatrix, force=True)
    backbone = dict(small_detector()['backbone'], type='WithMatrix')
    model = MODELS.build(small_detector(backbone=backbone, channels_last=True))
    assert model.backbone.matrix.is_contiguous()


def test_a_neck_for_one_map_keeps_its_number(small_detector):
    class OneMap(torch.nn.Module):
        def __init__(self, in_channels):
            super().__init__()
            self.in_channels = in_channels

    MODELS.register_module(module=OneMap, force=True)
    model = MODELS.build(small_detector(neck=dict(type='OneMap', in_channels=16)))
    assert model.neck.in_channels == 16


@torch.no_grad()
def test_detections_far_from_the_lungs_are_left_out(small_detector):
    model = build(small_detector(test_cfg=dict(score_thr=0, nms_iou=1.0, max_per_scan=10**6)))
    volume = torch.full((1, 64, 64, 64), model.data_preprocessor.value_of(40))
    volume[:, 8:56, 8:56, 8:56] = model.data_preprocessor.value_of(-850)  # 110 ml at 1 mm
    everywhere = model.detect(volume, (1.0, 1.0, 1.0)).bboxes
    model.test_cfg['lung_margin'] = 2.0
    near = model.detect(volume, np.ones(3)).bboxes  # as a geometry states it
    assert len(near) == len(model.detect(volume).bboxes)
    centers = (near[:, :3] + near[:, 3:]) / 2
    assert 0 < len(near) < len(everywhere)
    # To a coarse voxel of 4 mm, the margin and half of the box.
    reach = 6 + (near[:, 3:] - near[:, :3]).mean(dim=1, keepdim=True) / 2
    assert ((centers > 8 - reach) & (centers < 56 + reach)).all()
