"""The head of 1 x 1 x 1 convolutions, with and without boxes."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet3d_medical.models.dense_heads import Pointwise3DHead, missing_of_protocol

SHAPE = (8, 8, 8)
META = [dict(batch_input_shape=SHAPE)]
LESION = InstanceData(bboxes=torch.tensor([[0.0, 0, 0, 4, 4, 4]]), labels=torch.tensor([0]))


def make_head(**changes) -> Pointwise3DHead:
    cfg = dict(
        num_classes=1,
        in_channels=3,
        feat_channels=5,
        anchor_generator=dict(type='Anchor3DGenerator', strides=[4], sizes=[[4, 8]]),
        bbox_coder=dict(type='CubeBox3DCoder'),
        assigner=dict(
            type='mmdet.MaxIoUAssigner',
            pos_iou_thr=0.5,
            neg_iou_thr=0.02,
            min_pos_iou=0.02,
            iou_calculator=dict(type='mmdet3d_medical.BboxOverlaps3D'),
        ),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.5, 0.5), gamma=0.0),
        loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1.0),
    )
    head = Pointwise3DHead(**{**cfg, **changes})
    head.init_weights()
    return head


@pytest.mark.parametrize(
    ('changes', 'parameters'),
    [
        # 3 -> 5 -> 2 anchors x (1 + 4); a second hidden layer; none; none and no boxes
        (dict(), 3 * 5 + 5 + 10 * 5 + 10),
        (dict(shared=False), 2 * (3 * 5 + 5) + 10 * 5 + 10),
        (dict(feat_channels=0), 10 * 3 + 10),
        (dict(feat_channels=0, bbox_coder=None), 2 * 3 + 2),
        (dict(shared=False, bbox_coder=None), 3 * 5 + 5 + 2 * 5 + 2),
    ],
)
def test_parameters_and_gradients(changes, parameters):
    head = make_head(**changes)
    assert sum(p.numel() for p in head.parameters()) == parameters
    assert missing_of_protocol(head) == []
    outs = head([torch.randn(1, 3, 2, 2, 2)])
    logits, deltas = head.flatten(outs)
    assert logits.shape == (1, 16, 1)
    assert deltas.shape == (1, 16, 0 if changes.get('bbox_coder', 4) is None else 4)
    targets = head.get_targets(head.priors(SHAPE), [LESION], META)
    assert targets.box.shape == deltas.shape
    sum(head.loss_by_targets(outs, targets).values()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_anchors_between_the_thresholds_are_ignored():
    head = make_head()
    targets = head.get_targets(head.priors(SHAPE), [LESION], META)
    # The cube of 4 in the lesion's cell is the lesion; that of 8 around it overlaps by 4^3 of 8^3,
    # those around the cells beside it by 4 x 4 x 2 or less: (4 * 4 * 2) / (64 + 512 - 32) = 0.059,
    # (4 * 2 * 2) / (576 - 16) = 0.029 and (2 * 2 * 2) / (576 - 8) = 0.014, which is background.
    assert targets.cls[0, :, 0].tolist() == [1] + [0] * 15
    ignored = (targets.cls_weight[0] == 0).nonzero()[:, 0].tolist()
    assert ignored == [1, 3, 5, 7, 9, 11, 13]


def test_without_boxes_detections_are_the_priors():
    head = make_head(bbox_coder=None)
    priors = head.priors(SHAPE)
    assert torch.equal(head.decode(priors, priors.new_zeros(len(priors), 0)), priors)
    targets = head.get_targets(priors, [LESION], META)
    losses = head.loss_by_targets(head([torch.randn(1, 3, 2, 2, 2)]), targets)
    assert set(losses) == {'loss_cls'}


def test_the_sampler_chooses_what_losses_see():
    torch.manual_seed(0)
    head = make_head(sampler=dict(type='HardNegativeMining', num_negatives=1)).eval()
    outs = head([torch.randn(1, 3, 2, 2, 2)])
    logits, _ = head.flatten(outs)
    targets = head.get_targets(head.priors(SHAPE), [LESION], META)
    background = (targets.cls_weight[0] > 0) & (targets.cls[0, :, 0] == 0)
    hardest = logits[0, background, 0].max()
    expected = (
        torch.nn.functional.softplus(-logits[0, 0, 0]) + torch.nn.functional.softplus(hardest)
    ) / 2
    torch.testing.assert_close(head.loss_by_targets(outs, targets)['loss_cls'], expected)


def test_losses_of_boxes_need_six_numbers():
    with pytest.raises(ValueError, match='CubeBox3DCoder codes 4'):
        make_head(loss_bbox=dict(type='BoxIoU3DLoss'))


def test_dropout_is_off_in_testing():
    head = make_head(dropout=0.9)
    x = [torch.randn(1, 3, 4, 4, 4)]
    assert not torch.equal(head(x)[0][0], head(x)[0][0])
    head.eval()
    assert torch.equal(head(x)[0][0], head(x)[0][0])


@pytest.mark.parametrize('whole', [True, False])
def test_dropout_of_channels_is_the_same_in_all_cells(whole):
    torch.manual_seed(0)
    kept = make_head(channel_dropout=whole).dropout(torch.ones(1, 64, 3, 3, 3)) > 0
    share = kept.flatten(2).float().mean(dim=2)
    assert 0.2 < kept.float().mean() < 0.8
    assert bool(((share == 0) | (share == 1)).all()) == whole
