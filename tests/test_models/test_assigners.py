"""Assignment of anchors to lesions: ATSS and, from mmdet, max-IoU with our overlaps."""

import pytest
import torch
from mmdet.models.task_modules.assigners import ATSSAssigner
from mmengine.structures import InstanceData

from mmdet3d_medical.models.task_modules import Anchor3DGenerator, ATSS3DAssigner, BboxOverlaps3D
from mmdet3d_medical.registry import TASK_UTILS
from mmdet3d_medical.structures import box_iou3d


def lesions(*boxes: list[float]) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 6), labels=torch.zeros(len(boxes), dtype=torch.long)
    )


def assign(assigner, priors, instances, **kwargs):
    return assigner.assign(InstanceData(priors=priors), instances, **kwargs)


def test_overlaps_by_hand():
    a = torch.tensor([[0.0, 0, 0, 2, 2, 2]])  # volume 8
    b = torch.tensor([[1.0, 0, 0, 3, 2, 4], [5.0, 5, 5, 6, 6, 6]])  # 16, intersection 4; apart
    overlaps = BboxOverlaps3D()
    torch.testing.assert_close(overlaps(a, b), torch.tensor([[4 / 20, 0.0]]))
    torch.testing.assert_close(overlaps(a, b, mode='iof'), torch.tensor([[4 / 8, 0.0]]))
    torch.testing.assert_close(overlaps(b, a, mode='iof'), torch.tensor([[4 / 16], [0.0]]))
    torch.testing.assert_close(overlaps(a, b[:1], is_aligned=True), torch.tensor([4 / 20]))
    with pytest.raises(ValueError, match="'iou'"):
        overlaps(a, b, mode='giou')


def test_max_iou_of_mmdet_with_our_overlaps():
    assigner = TASK_UTILS.build(
        dict(
            type='mmdet.MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.2,
            min_pos_iou=0.01,
            iou_calculator=dict(type='mmdet3d_medical.BboxOverlaps3D'),
        )
    )
    lesion = [0.0, 0, 0, 4, 4, 4]
    priors = torch.tensor(
        [
            lesion,  # IoU 1: lesion
            [0.0, 0, 0, 4, 4, 2],  # 32 / 64 = 0.5: lesion
            [0.0, 0, 0, 4, 2, 4 * 0.7],  # 22.4 / 64 = 0.35: between the thresholds, ignored
            [8.0, 8, 8, 9, 9, 9],  # background
        ]
    )
    assert assign(assigner, priors, lesions(lesion)).gt_inds.tolist() == [1, 1, -1, 0]
    assert assign(assigner, priors, lesions()).gt_inds.tolist() == [0, 0, 0, 0]


def test_atss_by_hand():
    # Five anchors along x. The four nearest of the lesion [0, 4)^3 are candidates, with IoU 1,
    # 1/3, 1/3 and 0 (x shifted by 0, 2, -2, 4): mean 0.4167, deviation 0.4194, threshold 0.836.
    priors = torch.tensor([[0.0, 0, x, 4, 4, x + 4] for x in (-2, 0, 2, 4, 40)])
    result = assign(ATSS3DAssigner(topk=4), priors, lesions([0.0, 0, 0, 4, 4, 4]))
    assert result.gt_inds.tolist() == [0, 1, 0, 0, 0]
    assert result.max_overlaps[1] == 1


@pytest.mark.parametrize('topk', [4, 9])
def test_atss_is_that_of_mmdet_in_a_slice(topk):
    """At depth 1 areas are volumes: levels, mean and unbiased deviation, centers inside."""
    generator = torch.Generator().manual_seed(0)
    levels = Anchor3DGenerator([4, 8], [[9], [17]]).grid_priors([(1, 16, 16), (1, 8, 8)])
    counts, priors = [len(level) for level in levels], torch.cat(levels)
    priors[:, 0], priors[:, 3] = 0, 1
    below = 0
    for _ in range(100):
        start = torch.rand(2, generator=generator) * 40 + 2
        side = torch.rand(2, generator=generator) * 8 + 8
        box = torch.cat([torch.zeros(1), start, torch.ones(1), start + side])
        ours = assign(
            ATSS3DAssigner(topk), priors, lesions(box.tolist()), num_level_priors=counts
        ).gt_inds
        theirs = (
            ATSSAssigner(topk)
            .assign(
                InstanceData(priors=priors[:, [2, 1, 5, 4]]),
                counts,
                InstanceData(
                    bboxes=box[None, [2, 1, 5, 4]], labels=torch.zeros(1, dtype=torch.long)
                ),
            )
            .gt_inds
        )
        if theirs.any():
            assert torch.equal(ours, theirs)
        else:  # the best candidate, or several that are as good, stays below the threshold
            ious = box_iou3d(box[None], priors)[0][ours > 0]
            assert len(ious) and (ious == ious.max()).all()
            below += 1
    assert below < 20


def test_atss_takes_candidates_of_every_level():
    generator = Anchor3DGenerator([2, 4], [[3], [8]])
    levels = generator.grid_priors(generator.featmap_sizes((16, 16, 16)))
    counts = [len(level) for level in levels]
    result = assign(
        ATSS3DAssigner(topk=1),
        torch.cat(levels),
        lesions([4.0, 4, 4, 7, 7, 7], [2.0, 2, 2, 10, 10, 10]),
        num_level_priors=counts,
    )
    fine, coarse = result.gt_inds.split(counts)
    assert fine.unique().tolist() == [0, 1]  # only the small lesion on the fine level
    assert coarse.unique().tolist() == [0, 2]


def test_a_lesion_smaller_than_a_cell_gets_an_anchor():
    generator = Anchor3DGenerator([8], [[8]])
    priors = torch.cat(generator.grid_priors([(4, 4, 4)]))
    result = assign(ATSS3DAssigner(topk=8), priors, lesions([8.5, 8.5, 8.5, 9.5, 9.5, 9.5]))
    assert (result.gt_inds == 1).sum() == 1


def test_centers_outside_may_be_allowed():
    # IoU 1/3, 0.311 and four times 0: mean 0.107, deviation 0.168. Both overlap by less than half
    # a side, so no center lies inside; the best is positive all the same.
    priors = torch.tensor([[0.0, 0, x, 4, 4, x + 4] for x in (-2, 2.1, 8, 12, 16, 20)])
    lesion = lesions([0.0, 0, 0, 4, 4, 4])
    assert assign(ATSS3DAssigner(topk=6), priors, lesion).gt_inds.tolist() == [1, 0, 0, 0, 0, 0]
    assigner = ATSS3DAssigner(topk=6, center_inside=False)
    assert assign(assigner, priors, lesion).gt_inds.tolist() == [1, 1, 0, 0, 0, 0]
    assert assign(assigner, priors[2:], lesion).gt_inds.tolist() == [0, 0, 0, 0]  # not one overlaps


def test_an_anchor_goes_to_the_lesion_it_overlaps_most():
    priors = torch.tensor([[0.0, 0, 0, 4, 4, 4]])
    both = lesions([0.0, 0, 0, 4, 4, 3], [0.0, 0, 0, 4, 4, 4])
    assert assign(ATSS3DAssigner(topk=1), priors, both).gt_inds.tolist() == [2]


@pytest.mark.parametrize('number', [0, 1])
def test_atss_without_lesions_or_priors(number):
    result = assign(ATSS3DAssigner(), torch.rand(number, 6), lesions())
    assert result.gt_inds.tolist() == [0] * number
    result = assign(ATSS3DAssigner(), torch.zeros(0, 6), lesions([0.0, 0, 0, 1, 1, 1]))
    assert len(result.gt_inds) == 0


def test_assignment_follows_flips():
    generator = Anchor3DGenerator([2, 4], [[3, 5], [8, 11]])
    shape = (16, 16, 16)
    levels = generator.grid_priors(generator.featmap_sizes(shape))
    priors, counts = torch.cat(levels), [len(level) for level in levels]
    box = torch.tensor([[2.3, 3.1, 4.4, 6.9, 8.2, 9.3]])
    mirrored = box.clone()
    mirrored[:, [2, 5]] = 16 - box[:, [5, 2]]
    assigner = ATSS3DAssigner(topk=9)
    plain = assign(assigner, priors, lesions(box[0].tolist()), num_level_priors=counts)
    other = assign(assigner, priors, lesions(mirrored[0].tolist()), num_level_priors=counts)
    chosen = priors[plain.gt_inds > 0].clone()
    chosen[:, [2, 5]] = 16 - chosen[:, [5, 2]]
    expected = {tuple(row) for row in chosen.tolist()}
    assert {tuple(row) for row in priors[other.gt_inds > 0].tolist()} == expected
