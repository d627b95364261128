"""Assignment of cells by where they lie in a lesion."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet3d_medical.models.task_modules import CenterSampling3DAssigner


def grid(stride, shape) -> torch.Tensor:
    """Cells of one level."""
    stride = torch.tensor(stride, dtype=torch.float32)
    index = torch.cartesian_prod(*(torch.arange(side) for side in shape))
    return torch.cat([index * stride, (index + 1) * stride], dim=1)


def lesions(*boxes) -> InstanceData:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    return InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)))


def assign(levels, found, ignored=None, **cfg):
    result = CenterSampling3DAssigner(**cfg).assign(
        InstanceData(priors=torch.cat(levels)), found, ignored, [len(level) for level in levels]
    )
    return result, [part.tolist() for part in result.gt_inds.split([len(x) for x in levels])]


ROW = (1, 1, 8)  # eight cells along x


def test_center_sampling_by_hand():
    # Cells of 2 voxels with centers at 1, 3, ..., 15. The lesion spans 2 to 12.5: centers 3 to 11
    # lie in it; its own is 7.25, and 1.5 strides are 3 voxels, so those at 5, 7 and 9 are near.
    level = grid((2, 2, 2), ROW)
    result, (row,) = assign([level], lesions([0, 0, 2, 2, 2, 12.5]), radius=1.5)
    assert row == [0, 0, 1, 1, 1, 0, 0, 0]
    assert result.labels.tolist() == [-1, -1, 0, 0, 0, -1, -1, -1]
    _, (row,) = assign([level], lesions([0, 0, 2, 2, 2, 12.5]), radius=9)
    assert row == [0, 1, 1, 1, 1, 1, 0, 0]
    _, (row,) = assign([level], lesions([0, 0, 6.5, 2, 2, 7.5]), radius=9)
    assert row == [0, 0, 0, 1, 0, 0, 0, 0]


def test_levels_by_size():
    levels = [grid((1, 1, 1), (4, 4, 4)), grid((2, 2, 2), (2, 2, 2)), grid((4, 4, 4), (1, 1, 1))]
    for side, level in ((0.1, 0), (2, 0), (2.1, 1), (4, 1), (4.1, 2), (99, 2)):
        box = [2 - side / 2] * 3 + [2 + side / 2] * 3
        _, rows = assign(levels, lesions(box), max_cells=2.0)
        assert [max(row) for row in rows] == [int(number == level) for number in range(3)]


def test_size_counts_in_strides():
    # 4 voxels are 4 cells of the first level along z, but 2 along x: thick slices.
    levels = [grid((1, 2, 2), (8, 4, 4)), grid((2, 4, 4), (4, 2, 2))]
    _, (fine, coarse) = assign(levels, lesions([2, 2, 2, 3, 6, 6]), max_cells=2)
    assert max(fine) == 1 and max(coarse) == 0
    _, (fine, coarse) = assign(levels, lesions([2, 2, 2, 6, 3, 3]), max_cells=2)
    assert max(fine) == 0 and max(coarse) == 1


def test_a_lesion_without_a_center_gets_the_nearest_cells():
    level = grid((4, 4, 4), ROW)
    assert assign([level], lesions([1, 1, 8.5, 2, 2, 9]))[1] == [[0, 0, 1] + [0] * 5]
    assert assign([level], lesions([1, 1, 7.5, 2, 2, 8.5]))[1] == [[0, 1, 1] + [0] * 5]
    # Cut by the patch, its own center outside: the cells in it are too far from that.
    assert assign([level], lesions([0, 0, -40, 4, 4, 7]))[1] == [[1] + [0] * 7]


def test_nearest_counts_in_strides():
    level = grid((1, 4, 4), (4, 1, 2))  # centers at z = 0.5, 1.5, ... and x = 2, 6
    # A point at z = 1, x = 3.9: half a stride from z = 0.5 and 1.5, and less than half from x = 2.
    _, (row,) = assign([level], lesions([0.9, 1.9, 3.8, 1.1, 2.1, 4.0]))
    assert row == [1, 0, 1, 0, 0, 0, 0, 0]


def test_the_smallest_lesion_wins():
    level = grid((2, 2, 2), ROW)
    large, small = [0, 0, 0, 2, 2, 8], [0, 0, 4, 2, 2, 8]
    both = [[1, 1, 2, 2, 0, 0, 0, 0]]
    assert assign([level], lesions(large, small), radius=9)[1] == both
    swapped = [[{0: 0, 1: 2, 2: 1}[i] for i in both[0]]]
    assert assign([level], lesions(small, large), radius=9)[1] == swapped
    assert assign([level], lesions(small, small), radius=9)[1] == [[0, 0, 1, 1, 0, 0, 0, 0]]


def test_ignored_boxes_take_cells_as_lesions_do_but_none_of_theirs():
    level = grid((2, 2, 2), ROW)
    lesion, finding = lesions([0, 0, 0, 2, 2, 4]), lesions([0, 0, 2, 2, 2, 8])
    _, (row,) = assign([level], lesion, finding)
    assert row == [1, 1, -1, -1, 0, 0, 0, 0]
    assert assign([level], lesions(), lesions([0.9, 0.9, 5.4, 1.1, 1.1, 5.6]))[1] == [
        [0, 0, -1, 0, 0, 0, 0, 0]
    ]


@pytest.mark.parametrize('number', [0, 3])
def test_without_lesions_or_cells(number):
    cells = grid((2, 2, 2), (1, 1, number))
    result = CenterSampling3DAssigner().assign(InstanceData(priors=cells), lesions(), lesions())
    assert result.gt_inds.tolist() == [0] * number
    box = [0, 0, 0, 1, 1, 1]
    result = CenterSampling3DAssigner().assign(InstanceData(priors=cells), lesions(box))
    assert result.gt_inds.tolist() == [1, 0, 0][:number]


@pytest.mark.parametrize('cfg', [dict(radius=0), dict(max_cells=-1)])
def test_impossible_settings(cfg):
    with pytest.raises(ValueError, match='radius and max_cells must be > 0'):
        CenterSampling3DAssigner(**cfg)
