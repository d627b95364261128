"""S4ND: its network, which cells contain a lesion, and the head with and without boxes."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet3d_medical.models.backbones import S4NDNet
from mmdet3d_medical.models.task_modules import Anchor3DGenerator, Cell3DAssigner
from mmdet3d_medical.registry import MODELS

CELLS = Anchor3DGenerator(strides=[(1, 4, 4)], sizes=[[(1, 4, 4)]]).grid_priors([(4, 3, 3)])[0]


def assign(boxes, ignored=(), **settings) -> torch.Tensor:
    """(4, 3, 3) numbers of lesions + 1; slices of one voxel, cells of 4 x 4."""
    lesions, ignored = (torch.tensor(b, dtype=torch.float32).reshape(-1, 6) for b in
                        (boxes, ignored))  # fmt: skip
    labels = torch.arange(len(lesions))
    result = Cell3DAssigner(**settings).assign(
        InstanceData(priors=CELLS),
        InstanceData(bboxes=lesions, labels=labels),
        InstanceData(bboxes=ignored),
    )
    assert torch.equal(result.labels, (result.gt_inds - 1).clamp(min=-1))
    return result.gt_inds.view(4, 3, 3)


def where(found: torch.Tensor, number: int = 1) -> list[list[int]]:
    return (found == number).nonzero().tolist()


def test_parameters_by_hand():
    # Two blocks of two convolutions 3^3: 1 -> 2 -> 2, 5 channels; 1^3 to 8; 8 -> 3 -> 3, 14
    # channels; two numbers for each output of normalization.
    net = S4NDNet(growth_channels=(2, 3), num_convs=2, pools=(4,))
    convolutions = 27 * ((1 + 3) * 2 + (8 + 11) * 3) + 5 * 8
    norms = 2 * (2 + 2 + 8 + 3 + 3)
    assert sum(p.numel() for p in net.parameters()) == convolutions + norms
    assert net.out_channels == [14]


def test_slices_stay_and_pixels_are_pooled_by_32():
    net = S4NDNet(growth_channels=(1, 1, 1, 1, 1), num_convs=1).eval()
    assert net(torch.zeros(1, 1, 3, 64, 32))[0].shape == (1, 5, 3, 2, 1)
    with pytest.raises(ValueError, match='one pooling between two blocks'):
        S4NDNet(pools=(2, 2))


def test_a_cell_in_each_slice_of_a_small_lesion():
    # Slices 1 and 2 wholly; 1.6 of 3 pixels in the middle row, 1.4 in the last: 0.53 against 0.47.
    assert where(assign([[1.0, 6.4, 0, 3, 9.4, 3]])) == [[1, 1, 0], [2, 1, 0]]


def test_half_a_slice_is_enough():
    assert where(assign([[0.5, 4, 4, 2.4, 8, 8]])) == [[0, 1, 1], [1, 1, 1]]


def test_a_lesion_larger_than_cells_fills_those_it_reaches_half_across():
    found = where(assign([[1.0, 1, 0, 2, 12, 6]]))  # 3, 4, 4 of 4 rows; 4 and 2 of 4 columns
    assert found == [[1, y, x] for y, x in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1))]


def test_a_lesion_on_a_corner_has_all_four():
    assert where(assign([[1.0, 3, 3, 2, 5, 5]])) == [[1, y, x] for y in (0, 1) for x in (0, 1)]


def test_the_larger_share_wins_a_cell():
    whole, part = [0.0, 1, 1, 1, 3, 3], [0.0, 1, 2, 1, 3, 5]
    assert where(assign([whole]), 1) == where(assign([part, whole]), 2) == [[0, 0, 0]]


def test_ignored_boxes_take_cells_but_not_from_lesions():
    found = assign([[0.0, 0, 0, 1, 4, 4]], ignored=[[0.0, 0, 0, 1, 4, 8]])
    assert where(found, -1) == [[0, 0, 1]] and where(found) == [[0, 0, 0]]
    assert (assign([], ignored=[]) == 0).all()


def test_impossible_shares_are_refused():
    with pytest.raises(ValueError, match='min_share'):
        Cell3DAssigner(0)


def small_s4nd(**changes) -> dict:
    return dict(
        type='DenseDetector3D',
        data_preprocessor=dict(type='VolumeDataPreprocessor', pad_size_divisor=(1, 4, 4)),
        backbone=dict(type='S4NDNet', growth_channels=(2, 2), num_convs=2, pools=(4,)),
        bbox_head=dict(
            type='Pointwise3DHead', num_classes=1, in_channels=12, feat_channels=0, dropout=0.0,
            anchor_generator=dict(
                type='Anchor3DGenerator', strides=[(1, 4, 4)], sizes=[[(1, 4, 4)]]
            ),
            assigner=dict(type='Cell3DAssigner'),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.SmoothL1Loss'),
            **changes,
        ),
    )  # fmt: skip


@pytest.mark.parametrize('changes', [dict(), dict(bbox_coder=None)], ids=['boxes', 'cells'])
def test_it_is_trained_by_focalmix_and_detects(changes, make_branches, make_batch):
    torch.manual_seed(0)
    targets = dict(type='AnchorTargets', views=dict(num=16), score_thr=0.0)
    cfg = dict(type='FocalMixDetector', detector=small_s4nd(**changes), targets=targets)
    model = MODELS.build(cfg)
    model.init_weights()
    batch = model.data_preprocessor(make_branches(2, 2, (6, 16, 16)))
    losses = model.loss(batch['inputs'], batch['data_samples'])
    assert ('loss_bbox' in losses) == (not changes)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.detector.parameters())
    model.eval().detector.test_cfg['score_thr'] = 0.0
    batch = model.data_preprocessor(make_batch(1, (6, 16, 16)))
    (sample,) = model(**batch, mode='predict')
    found = sample.pred_instances.bboxes
    assert len(found) > 0
    if changes:  # cells do not overlap: all are there
        assert len(found) == 6 * 4 * 4 and (found[:, 3:] - found[:, :3]).unique().tolist() == [1, 4]
