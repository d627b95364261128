"""RetinaNet's parts at one voxel of depth against mmdet's in 2D.

In the settings of mmdet's ``retinanet_r50_fpn.py``: anchors of three scales and three ratios on
P3 to P7, centered on the corners of cells (``center_offset=0``) and, in depth, one voxel about 0.
A convolution of 3 x 3 x 3 sees only padding on both sides of one voxel, so its middle plane is one
of 3 x 3.
"""

import pytest
import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from mmdet.models.necks import FPN
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmdet3d_medical.models.dense_heads import Retina3DHead
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.models.necks import FPN3D
from mmdet3d_medical.models.task_modules import DeltaBox3DCoder
from mmdet3d_medical.registry import TASK_UTILS

STRIDES, RATIOS = (8, 16, 32, 64, 128), (0.5, 1.0, 2.0)
SCALES = [4 * 2 ** (octave / 3) for octave in range(3)]
SHAPE = (256, 320)
CLASSES, CHANNELS = 3, 8
MAX_RATIO = 1000 / 16  # between the size of an anchor and of its box, in mmdet
TO_2D = [2, 1, 5, 4]  # x, y, w, h out of z, y, x, d, h, w; the same for corners
# x1, y1, x2, y2: about as large as an anchor, between 0.4 and 0.5, and too small for any
BOXES = ([[31, 40, 70, 75], [100, 90, 200, 280], [230, 7, 236, 12]], [[150, 31, 310, 100]])
LABELS = ([0, 2, 1], [1])


def generator_3d() -> dict:
    """As mmdet's: in depth one voxel, within a level the ratios (height over width) first."""
    shapes = [(scale * ratio**0.5, scale / ratio**0.5) for ratio in RATIOS for scale in SCALES]
    sizes = [[(1, stride * h, stride * w) for h, w in shapes] for stride in STRIDES]
    strides = [(1, stride, stride) for stride in STRIDES]
    return dict(type='Anchor3DGenerator', strides=strides, sizes=sizes, center_offset=0.0)


def generator_2d() -> dict:
    return dict(
        type='mmdet.AnchorGenerator',
        strides=STRIDES,
        ratios=RATIOS,
        octave_base_scale=4,
        scales_per_octave=3,
    )


def maps(channels=(CHANNELS,) * 5) -> list[torch.Tensor]:
    """Feature maps (2, C, h, w) of two images, finest first."""
    torch.manual_seed(0)
    height, width = SHAPE
    return [
        torch.randn(2, number, -(-height // s), -(-width // s))
        for s, number in zip(STRIDES, channels, strict=False)
    ]


def with_depth(boxes: torch.Tensor) -> torch.Tensor:
    """(N, 6) of (N, 4) boxes x1, y1, x2, y2."""
    half = torch.full_like(boxes[:, :1], 0.5)
    return torch.cat([-half, boxes[:, [1, 0]], half, boxes[:, [3, 2]]], dim=1)


def copy_weights(source: nn.Conv2d, target: nn.Conv3d, rows=None) -> None:
    """Into the middle plane; ``rows`` are the target's channels, in the order of the source's."""
    rows = slice(None) if rows is None else rows
    middle = target.kernel_size[0] // 2
    with torch.no_grad():
        target.weight.zero_()
        target.bias.zero_()
        target.weight[rows, :, middle] = source.weight
        target.bias[rows] = source.bias


def convolutions(module: nn.Module, kind: type) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, kind)]


def regression_rows(number: int) -> list[int]:
    """Of the channels z, y, x, d, h, w of each anchor those that 2D has, in its order."""
    return [6 * anchor + channel for anchor in range(number) for channel in TO_2D]


@pytest.fixture(scope='module')
def heads():
    """mmdet's head and ours with the same weights."""
    torch.manual_seed(1)
    assigner = dict(
        type='mmdet.MaxIoUAssigner',
        pos_iou_thr=0.5,
        neg_iou_thr=0.4,
        min_pos_iou=0,
        ignore_iof_thr=-1,
    )
    flat = RetinaHead(
        CLASSES,
        CHANNELS,
        stacked_convs=2,
        feat_channels=CHANNELS,
        anchor_generator=generator_2d(),
        bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
        loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25),
        loss_bbox=dict(type='mmdet.L1Loss'),
        train_cfg=ConfigDict(
            assigner=assigner,
            sampler=dict(type='mmdet.PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
        ),
    )
    volumes = dict(type='mmdet3d_medical.BboxOverlaps3D')
    deep = Retina3DHead(
        CLASSES,
        CHANNELS,
        stacked_convs=2,
        feat_channels=CHANNELS,
        anchor_generator=generator_3d(),
        bbox_coder=dict(type='DeltaBox3DCoder', max_ratio=MAX_RATIO),
        loss_cls=dict(type='SoftFocalLoss', alpha=(0.75, 0.25), gamma=2.0),
        loss_bbox=dict(type='mmdet.L1Loss'),
        assigner=dict(assigner, iou_calculator=volumes),
    )
    for weight in flat.parameters():
        nn.init.normal_(weight, std=0.15)
    pairs = [
        (flat.cls_convs, deep.cls_branch),
        (flat.reg_convs, deep.box_branch),
        (flat.retina_cls, deep.classify),
    ]
    for two, three in pairs:
        for layers in zip(
            convolutions(two, nn.Conv2d), convolutions(three, nn.Conv3d), strict=True
        ):
            copy_weights(*layers)
    copy_weights(flat.retina_reg, deep.regress, regression_rows(deep.num_anchors))
    return flat, deep


def test_anchors():
    sizes = [(-(-SHAPE[0] // s), -(-SHAPE[1] // s)) for s in STRIDES]
    expected, ours = (TASK_UTILS.build(cfg()) for cfg in (generator_2d, generator_3d))
    assert ours.num_base_priors == expected.num_base_priors == [9] * 5
    assert ours.featmap_sizes((1, *SHAPE)) == [(1, *size) for size in sizes]
    levels = ours.grid_priors([(1, *size) for size in sizes])
    for level, flat in zip(levels, expected.grid_priors(sizes, device='cpu'), strict=True):
        torch.testing.assert_close(level, with_depth(flat))


def test_coder():
    torch.manual_seed(0)
    anchors, boxes = (torch.rand(50, 2) * 100 for _ in range(2))
    anchors, boxes = (
        torch.cat([low, low + 1 + 50 * torch.rand(50, 2)], dim=1) for low in (anchors, boxes)
    )
    stds = 0.1, 0.1, 0.2, 0.2
    flat = DeltaXYWHBBoxCoder(target_stds=stds)
    deep = DeltaBox3DCoder(stds=(0.1,) * 3 + (0.2,) * 3, max_ratio=MAX_RATIO)
    deltas = deep.encode(with_depth(anchors), with_depth(boxes))
    torch.testing.assert_close(deltas[:, TO_2D], flat.encode(anchors, boxes))
    assert not deltas[:, [0, 3]].any()  # in depth the box is its anchor
    deltas[:, TO_2D] = 15 * torch.randn(50, 4)  # sizes beyond the largest ratio, too
    decoded = deep.decode(with_depth(anchors), deltas)
    expected = flat.decode(anchors, deltas[:, TO_2D])
    torch.testing.assert_close(decoded, with_depth(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.0, 0.75), (5.0, 0.5)])
def test_focal_loss(gamma, alpha):
    torch.manual_seed(0)
    logits = (4 * torch.randn(200, CLASSES)).requires_grad_()
    targets = (torch.rand(200, CLASSES) < 0.3).float()
    weight = (torch.rand(200) < 0.8).float()
    ours = SoftFocalLoss(alpha=(1 - alpha, alpha), gamma=gamma)(logits, targets, weight, 7.0)
    flat = py_sigmoid_focal_loss(logits, targets, weight, gamma, alpha, avg_factor=7.0)
    torch.testing.assert_close(ours, flat)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (ours, flat))
    torch.testing.assert_close(*gradients)


def test_untrained_outputs():
    """Both give every anchor a probability of 0.01."""
    flat = RetinaHead(
        CLASSES,
        CHANNELS,
        anchor_generator=generator_2d(),
        bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder'),
    )
    deep = Retina3DHead(
        CLASSES,
        CHANNELS,
        anchor_generator=generator_3d(),
        loss_cls=dict(type='SoftFocalLoss'),
        loss_bbox=dict(type='mmdet.L1Loss'),
        assigner=dict(type='ATSS3DAssigner'),
    )
    for head in (flat, deep):
        head.init_weights()
    torch.testing.assert_close(deep.classify.bias, flat.retina_cls.bias)
    torch.testing.assert_close(
        deep.classify.weight.std(), flat.retina_cls.weight.std(), rtol=0.05, atol=0
    )


def test_outputs_and_boxes_of_the_head(heads):
    flat, deep = heads
    feats = maps()
    with torch.no_grad():
        outs = flat(feats)
        expected_logits, expected_deltas = (
            torch.cat([x.permute(0, 2, 3, 1).reshape(2, -1, width) for x in part], dim=1)
            for part, width in zip(outs, (CLASSES, 4), strict=True)
        )
        logits, deltas = deep.flatten(deep([x[:, :, None] for x in feats]))
        torch.testing.assert_close(logits, expected_logits, rtol=1e-4, atol=1e-5)
        sizes = [tuple(x.shape[2:]) for x in feats]
        anchors = torch.cat(flat.prior_generator.grid_priors(sizes, device='cpu'))
        boxes = deep.decode(deep.priors((1, *SHAPE)), deltas)
        for row, expected in zip(boxes, expected_deltas, strict=True):
            decoded = flat.bbox_coder.decode(anchors, expected)
            torch.testing.assert_close(row, with_depth(decoded), rtol=1e-4, atol=1e-3)
    assert logits.std() > 0.1 and deltas[..., TO_2D].std() > 0.1


def test_targets_and_losses_of_the_head(heads):
    flat, deep = heads
    feats = [x.requires_grad_() for x in maps()]
    instances = [
        InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32), labels=torch.tensor(labels))
        for boxes, labels in zip(BOXES, LABELS, strict=True)
    ]
    metas = [dict(img_shape=SHAPE, pad_shape=SHAPE)] * 2
    expected = flat.loss_by_feat(*flat(feats), instances, metas)
    expected = {name: sum(values) for name, values in expected.items()}  # over the levels
    shape = (1, *SHAPE)
    volumes = [
        InstanceData(bboxes=with_depth(part.bboxes), labels=part.labels) for part in instances
    ]
    targets = deep.get_targets(deep.priors(shape), volumes, [dict(batch_input_shape=shape)] * 2)
    positive, ignored = targets.box_weight.sum(1), (targets.cls_weight == 0).sum(1)
    assert (positive > 0).all() and (ignored > 0).all()
    assert targets.cls.sum((0, 1)).min() > 0  # lesions of every class
    losses = deep.loss_by_targets(deep([x[:, :, None] for x in feats]), targets)
    assert set(losses) == set(expected)
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-4, atol=1e-6)
    ours, theirs = (torch.autograd.grad(sum(part.values()), feats) for part in (losses, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_pyramid():
    """P3 to P7 from three maps, P6 and P7 by convolutions on P5."""
    channels = 4, 6, 10
    torch.manual_seed(0)
    flat = FPN(
        list(channels), CHANNELS, 5, add_extra_convs='on_output', relu_before_extra_convs=True
    )
    deep = FPN3D(channels, CHANNELS, num_outs=5)
    flat.init_weights()
    for layers in zip(convolutions(flat, nn.Conv2d), convolutions(deep, nn.Conv3d), strict=True):
        copy_weights(*layers)
    feats = maps(channels)
    levels = deep([x[:, :, None] for x in feats])
    for one, other in zip(levels, flat(feats), strict=True):
        torch.testing.assert_close(one[:, :, 0], other, rtol=1e-4, atol=1e-5)
