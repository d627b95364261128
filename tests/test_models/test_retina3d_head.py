"""The head: order of priors, targets, losses."""

import pytest
import torch
from mmengine.structures import InstanceData

from mmdet3d_medical.models.dense_heads import DenseTargets, Retina3DHead, missing_of_protocol
from mmdet3d_medical.models.dense_heads.targets import predict
from mmdet3d_medical.models.detectors.dense3d import annotations_of

SHAPE = (8, 8, 16)
META = [dict(batch_input_shape=SHAPE)]


def make_head(num_classes=2, loss_bbox=None, norm_cfg=None, strides=(4, 8)) -> Retina3DHead:
    head = Retina3DHead(
        num_classes=num_classes,
        in_channels=3,
        feat_channels=4,
        stacked_convs=1,
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type='Anchor3DGenerator', strides=list(strides), sizes=[[4, 6], [8, 12]][: len(strides)]
        ),
        assigner=dict(type='ATSS3DAssigner', topk=2),
        loss_cls=dict(type='SoftFocalLoss'),
        loss_bbox=loss_bbox or dict(type='mmdet.L1Loss'),
    )
    head.init_weights()
    return head


def make_feats(head: Retina3DHead, number=1) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(number, 3, *size) for size in head.anchors.featmap_sizes(SHAPE)]


def instances(boxes, labels=None, **fields) -> InstanceData:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    labels = torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels)
    return InstanceData(bboxes=boxes, labels=labels, **fields)


def test_it_meets_the_protocol():
    assert missing_of_protocol(make_head()) == []
    assert missing_of_protocol(torch.nn.Identity()) == [
        'priors',
        'flatten',
        'get_targets',
        'loss_by_targets',
    ]


def test_flattening_follows_the_priors():
    """Maps that hold each cell's own position come out beside the prior of that cell."""
    head = make_head()
    logits, deltas = [], []
    for size, stride in zip(head.anchors.featmap_sizes(SHAPE), (4, 8), strict=True):
        grid = (torch.stack(torch.meshgrid(*map(torch.arange, size), indexing='ij')) + 0.5) * stride
        logits.append(grid.sum(0).expand(1, 2 * 2, *size))
        deltas.append(torch.cat([grid, grid, grid, grid])[None])  # 2 anchors x (z, y, x, z, y, x)
    flat_logits, flat_deltas = head.flatten((logits, deltas))
    priors = head.priors(SHAPE)
    center = (priors[:, :3] + priors[:, 3:]) / 2
    torch.testing.assert_close(flat_deltas[0], torch.cat([center, center], dim=1))
    torch.testing.assert_close(flat_logits[0], center.sum(1, keepdim=True).expand(-1, 2))


def test_an_untrained_head_predicts_the_prior_probability():
    head = make_head()
    logits, _ = head.flatten(head(make_feats(head)))
    assert float(logits.sigmoid().mean()) == pytest.approx(0.01, rel=0.1)


def test_targets_of_a_lesion_on_an_anchor():
    head = make_head()
    priors = head.priors(SHAPE)
    targets = head.get_targets(priors, [instances([[0.0, 0, 4, 4, 4, 8]], [1])], META)
    match = (priors == torch.tensor([0.0, 0, 4, 4, 4, 8])).all(1)
    assert match.sum() == 1
    assert targets.cls[0, match].tolist() == [[0.0, 1.0]]
    assert targets.box[0, match].abs().max() == 0  # no offset from its own anchor
    assert targets.cls.shape == (1, len(priors), 2) and targets.cls[..., 0].sum() == 0
    assert torch.equal(targets.box_weight > 0, targets.cls[..., 1] > 0)
    assert targets.cls_weight.min() == 1
    assert not targets.cls.requires_grad


def test_soft_scores_become_soft_targets():
    head = make_head()
    soft = instances([[0.0, 0, 4, 4, 4, 8]], scores=torch.tensor([0.7]))
    targets = head.get_targets(head.priors(SHAPE), [soft], META)
    assert targets.cls.max() == pytest.approx(0.7)


def test_ignored_boxes_silence_background_but_not_lesions():
    head = make_head()
    priors = head.priors(SHAPE)
    lesion, finding = [0.0, 0, 4, 4, 4, 8], [0.0, 0, 0, 8, 8, 16]
    both = instances([lesion, finding], ignored=torch.tensor([False, True]))
    targets = head.get_targets(priors, [both], META)
    assert targets.cls_weight[targets.cls.amax(-1) > 0].min() == 1
    inside = ((priors[:, :3] >= 0) & (priors[:, 3:] <= torch.tensor(SHAPE))).all(1)
    background = targets.cls[0].amax(-1) == 0
    assert targets.cls_weight[0, inside & background].max() == 0
    only = instances([finding], ignored=torch.tensor([True]))
    targets = head.get_targets(priors, [only], META)
    assert targets.cls.max() == 0 and targets.cls_weight[0, inside].max() == 0


def test_a_class_the_head_does_not_have_is_refused():
    head = make_head(num_classes=1)
    second = instances([[0.0, 0, 4, 4, 4, 8]], [1])
    with pytest.raises(ValueError, match='scan 007 has a lesion of class number 1'):
        head.get_targets(head.priors(SHAPE), [second], [{**META[0], 'scan_id': '007'}])


def test_no_lesions():
    head = make_head()
    feats = make_feats(head)
    targets = head.get_targets(head.priors(SHAPE), [instances([])], META)
    losses = head.loss_by_targets(head(feats), targets)
    assert losses['loss_cls'] > 0 and losses['loss_bbox'] == 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_losses_are_divided_by_the_positives_by_hand():
    head = make_head(num_classes=1)
    outs = head(make_feats(head))
    logits, deltas = head.flatten(outs)
    number = logits.shape[1]
    cls = torch.zeros(1, number, 1)
    cls[0, :3, 0] = torch.tensor([1.0, 0.5, 0.4])  # two positives: 0.5 counts, 0.4 does not
    weight = torch.ones(1, number)
    weight[0, 3:] = 0
    box_weight = torch.zeros(1, number)
    box_weight[0, 0] = 1
    targets = DenseTargets(cls, weight, torch.ones(1, number, 6), box_weight)
    losses = head.loss_by_targets(outs, targets)
    each = head.loss_cls(logits[:, :3], cls[:, :3], reduction_override='none')
    torch.testing.assert_close(losses['loss_cls'], each.sum() / 2)
    torch.testing.assert_close(losses['loss_bbox'], (1 - deltas[0, 0]).abs().sum() / 2)


def test_loss_on_decoded_boxes_vanishes_at_the_truth():
    head = make_head(num_classes=1, loss_bbox=dict(type='BoxIoU3DLoss'))
    box = [0.0, 0, 4, 4, 4, 8]
    targets = head.get_targets(head.priors(SHAPE), [instances([box])], META)
    logits, deltas = head(make_feats(head))
    exact = [torch.zeros_like(level) for level in deltas]
    chosen = targets.box_weight > 0
    assert torch.equal(targets.box[chosen][0], torch.tensor(box))
    value = head.loss_by_targets((logits, exact), targets)['loss_bbox']
    anchors = head.priors(SHAPE).expand(1, -1, -1)[chosen]
    expected = head.loss_bbox(anchors, targets.box[chosen])
    torch.testing.assert_close(value, expected)


def test_annotations_keep_ignored_boxes_apart(make_sample):
    sample = make_sample([[0, 0, 0, 1, 1, 1]], ignored=[[2, 2, 2, 4, 4, 4]])
    merged = annotations_of(sample)
    assert merged.ignored.tolist() == [False, True]
    assert merged.bboxes[1].tolist() == [2, 2, 2, 4, 4, 4]
    assert 'ignored' not in annotations_of(make_sample([[0, 0, 0, 1, 1, 1]]))


def test_shared_batch_normalization_is_refused():
    with pytest.raises(ValueError, match='GN'):
        make_head(norm_cfg=dict(type='BN3d'))
    assert make_head(norm_cfg=dict(type='BN3d'), strides=(4,)).num_classes == 2


def test_levels_with_different_numbers_of_anchors_are_refused():
    with pytest.raises(ValueError, match='equally many anchors'):
        Retina3DHead(
            1,
            3,
            anchor_generator=dict(type='Anchor3DGenerator', strides=[2, 4], sizes=[[1], [2, 3]]),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.L1Loss'),
            assigner=dict(type='ATSS3DAssigner'),
        )


def test_a_branch_for_boxes_needs_a_coder():
    with pytest.raises(ValueError, match='Pointwise3DHead'):
        Retina3DHead(
            1,
            3,
            anchor_generator=dict(type='Anchor3DGenerator', strides=[2], sizes=[[1]]),
            loss_cls=dict(type='SoftFocalLoss'),
            loss_bbox=dict(type='mmdet.L1Loss'),
            assigner=dict(type='ATSS3DAssigner'),
            bbox_coder=None,
        )


@pytest.mark.parametrize('number', [0, 1, 3])
def test_boxes_of_some_patches(number):
    head = make_head(norm_cfg=dict(type='GN', num_groups=2))
    feats = make_feats(head, 3)
    logits, deltas = head.flatten(head(feats))
    some_logits, some_deltas = head.flatten(predict(head, feats, number))
    assert torch.equal(some_logits, logits)
    torch.testing.assert_close(some_deltas[:number], deltas[:number])
    assert deltas.abs().amax(dim=(1, 2)).min() > 0 == some_deltas[number:].abs().sum()


def test_a_head_that_knows_of_no_saving_gives_all_boxes():
    assert predict(torch.nn.Identity(), [1, 2], boxes_of=0) == [1, 2]
