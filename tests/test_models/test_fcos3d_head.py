"""The anchor-free head: targets, boxes, views, and a detector around it."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import nn

from mmdet3d_medical.models.dense_heads import FCOS3DHead, missing_of_protocol
from mmdet3d_medical.models.detectors.views import PriorPermutations, RandomViews, View
from mmdet3d_medical.models.semi import AnchorTargets
from mmdet3d_medical.registry import MODELS

PARTS = dict(
    num_classes=1,
    in_channels=8,
    feat_channels=8,
    stacked_convs=1,
    loss_cls=dict(type='SoftFocalLoss'),
    loss_bbox=dict(type='BoxIoU3DLoss'),
)
L1 = dict(type='mmdet.L1Loss')
SHAPE = (8, 16, 16)
THICK = ((1, 2, 2), (2, 4, 4), (4, 8, 8))  # strides for slices twice as thick as wide


def make_head(strides=(2, 4), **changes) -> FCOS3DHead:
    head = FCOS3DHead(**{**PARTS, **changes}, strides=strides)
    head.init_weights()
    return head


def targets_of(head, boxes, shape=SHAPE, **fields):
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 6)
    found = InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long), **fields)
    return head.get_targets(head.priors(shape), [found], [dict(batch_input_shape=shape)])


def maps(head, shape=SHAPE, number=1) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(number, 8, *size) for size in head.anchors.featmap_sizes(shape)]


def test_it_meets_the_protocol_with_cells_as_priors():
    head = make_head(THICK)
    assert missing_of_protocol(head) == [] and head.max_stride == (4, 8, 8)
    priors = head.priors(SHAPE)
    counts = [8 * 8 * 8, 4 * 4 * 4, 2 * 2 * 2]
    for level, stride in zip(priors.split(counts), THICK, strict=True):
        assert (level[:, 3:] - level[:, :3] == torch.tensor(stride)).all()
        assert (level[:, 3:] - level[:, :3]).prod(1).sum() == 8 * 16 * 16  # they fill the patch
    logits, deltas = head.flatten(head(maps(head)))
    assert logits.shape == (1, sum(counts), 1) and deltas.shape == (1, sum(counts), 6)


@pytest.mark.parametrize('loss_bbox', [L1, dict(type='BoxIoU3DLoss')])
def test_a_lesion_by_hand_and_back(loss_bbox):
    # Centers of the fine level lie at odd coordinates: (3, 5, 7) is the only one near the middle
    # of a lesion of 2 to 4, 4 to 6 and 6 to 8, a stride of 2 wide: half a stride to each face.
    head = make_head(loss_bbox=loss_bbox)
    box = torch.tensor([2.0, 4, 6, 4, 6, 8])
    targets, priors = targets_of(head, box), head.priors(SHAPE)
    positive = targets.cls[0, :, 0] > 0
    assert priors[positive].tolist() == [box.tolist()]
    assert torch.equal(targets.box_weight[0] > 0, positive) and targets.cls_weight.min() == 1
    on_boxes = loss_bbox is not L1
    expected = box if on_boxes else torch.full((6,), 0.5).log()
    torch.testing.assert_close(targets.box[0, positive][0], expected)
    if not on_boxes:
        torch.testing.assert_close(head.decode(priors[positive], targets.box[0, positive])[0], box)


def test_soft_scores_become_soft_targets():
    targets = targets_of(make_head(), [2.0, 4, 6, 4, 6, 8], scores=torch.tensor([0.3]))
    assert targets.cls.max() == pytest.approx(0.3)


@pytest.mark.parametrize('side', [0.5, 1.5, 3.1, 7.0, 12.0, 60.0])
@pytest.mark.parametrize('center', [(4, 8, 8), (0.2, 0.3, 15.9), (3.3, 6.1, 2.9)])
def test_every_lesion_has_cells_on_one_level(side, center):
    head = make_head(THICK)
    middle = torch.tensor(center, dtype=torch.float32)
    priors = head.priors(SHAPE)
    positive = targets_of(head, torch.cat([middle - side / 2, middle + side / 2])).cls[0, :, 0] > 0
    chosen = priors[positive]
    assert 1 <= len(chosen) <= 27  # three cells along each axis
    assert len((chosen[:, 3:] - chosen[:, :3]).unique(dim=0)) == 1
    offset = ((chosen[:, :3] + chosen[:, 3:]) / 2 - middle).abs() / (chosen[:, 3:] - chosen[:, :3])
    assert offset.max() < 1.5


@pytest.mark.parametrize('size', [1.0, 5.0, 14.0])
def test_ignored_boxes_of_any_size_silence_cells(size):
    head = make_head()
    low = torch.tensor([1.6, 3.0, 0.7])
    box = torch.cat([low, low + size])
    ignored = targets_of(head, box, ignored=torch.tensor([True]))
    assert ignored.cls.max() == 0 and ignored.box_weight.max() == 0
    as_lesion = targets_of(head, box).cls[0, :, 0] > 0
    assert ignored.cls_weight[0, as_lesion].max() == 0
    far = (head.priors(SHAPE)[:, :3] > low + size).any(dim=1)
    assert ignored.cls_weight[0, far].min() == 1 if far.any() else size > 10


VIEWS = [
    View(order, flips)
    for order in ((0, 1, 2), (0, 2, 1))  # z has another stride
    for number in range(4)
    for flips in itertools.combinations(range(3), number)
]


@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_targets_follow_views(view):
    """Mirroring a patch mirrors its targets, also of lesions between cells or over the border."""
    head = make_head(THICK)
    boxes = torch.tensor(
        [
            [1.0, 2, 4, 4, 7, 8],
            [1.5, 3.5, 9.5, 2.5, 4.5, 10.5],  # center on the border of cells along z, y and x
            [5.75, 13.75, 5.75, 6.25, 14.25, 6.25],  # equally far from eight centers
            [5.0, 0, 11, 9, 5, 17],
            [0.0, 0, 0, 8, 16, 16],
        ]
    )
    flags = torch.tensor([False, False, False, False, True])
    priors = head.priors(SHAPE)
    index = PriorPermutations().of(view, priors, SHAPE)
    plain = targets_of(head, boxes, ignored=flags)
    seen = targets_of(head, view.apply_to_boxes(boxes, SHAPE), ignored=flags)
    assert plain.cls.sum() > 12
    assert torch.equal(seen.cls[:, index], plain.cls)
    assert torch.equal(seen.cls_weight[:, index], plain.cls_weight)
    assert torch.equal(seen.box_weight[:, index], plain.box_weight)
    back = view.inverse().apply_to_boxes(seen.box[:, index], SHAPE)
    chosen = plain.box_weight > 0
    torch.testing.assert_close(back[chosen], plain.box[chosen])


class MeanHead(FCOS3DHead):
    """Scores a cell by the mean of its voxels, so it commutes with all views."""

    def forward(self, volume):
        logits = [F.avg_pool3d(volume, stride, stride) for stride in self.anchors.strides]
        return logits, [logit.new_zeros(len(logit), 6, *logit.shape[2:]) for logit in logits]


@pytest.mark.parametrize('strides', [(2, 4), THICK])
def test_all_views_guess_as_one_does(strides):
    detector = nn.Module()
    detector.bbox_head, detector.extract_feat = MeanHead(**PARTS, strides=strides), lambda x: x
    inputs = torch.randn(2, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    inputs[0, 0, 4:6, 8:12, 4:8] = 50.0  # a whole number of cells at all strides
    guesser = AnchorTargets(dict(num=16), steps=[])
    priors = detector.bbox_head.priors(SHAPE)
    assert len(set(guesser.views.draw(np.random.default_rng(0), SHAPE, priors))) == 16
    guess = guesser([detector], inputs, np.random.default_rng(0))
    logits, _ = detector.bbox_head.flatten(detector.bbox_head(inputs))
    torch.testing.assert_close(guess.cls, logits.sigmoid(), atol=1e-6, rtol=0)
    assert logits.std() > 0.1
    found = guess.boxes[0]
    middle = (found[:, :3] + found[:, 3:]) / 2
    assert len(found) > 0 and len(guess.boxes[1]) == 0
    assert ((middle > torch.tensor([4, 8, 4])) & (middle < torch.tensor([6, 12, 8]))).all()


def test_views_leave_unequal_strides_alone():
    priors = make_head(THICK).priors((16, 16, 16))
    views = RandomViews(num=48).draw(np.random.default_rng(0), (16, 16, 16), priors)
    assert {view.order for view in views} == {(0, 1, 2), (0, 2, 1)}


@pytest.mark.parametrize('loss_bbox', [L1, dict(type='BoxIoU3DLoss')])
def test_losses_without_lesions_and_at_the_truth(loss_bbox):
    head = make_head(loss_bbox=loss_bbox)
    outs = head(maps(head))
    losses = head.loss_by_targets(outs, targets_of(head, []))
    assert losses['loss_cls'] > 0 and losses['loss_bbox'] == 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    # One cell, half a stride from each face of a lesion of its own size.
    exact = [torch.full_like(level, 0.5).log() for level in outs[1]]
    lesion = targets_of(head, [2.0, 4, 6, 4, 6, 8])
    assert head.loss_by_targets((outs[0], exact), lesion)['loss_bbox'] == pytest.approx(0, abs=1e-6)
    wrong = [torch.zeros_like(level) for level in outs[1]]  # twice as wide: IoU 1/8, log(2) off
    expected = 6 * np.log(2) if loss_bbox is L1 else 7 / 8
    loss = head.loss_by_targets((outs[0], wrong), lesion)['loss_bbox']
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_other_parts_can_be_chosen():
    head = make_head(assigner=dict(type='ATSS3DAssigner', topk=4))
    assert targets_of(head, [2.0, 4, 6, 4, 6, 8]).cls.sum() > 0


# ------------------------------------------------------------------ in a detector


@pytest.fixture
def detector(small_detector):
    """Function that builds the small detector with this head."""

    def build(**changes):
        torch.manual_seed(0)
        head = dict(PARTS, type='FCOS3DHead', strides=[2, 4, 8])
        model = MODELS.build(small_detector(bbox_head=head, **changes))
        model.init_weights()
        return model

    return build


def test_it_learns_a_patch_by_heart(detector, make_sample):
    model = detector()
    volume = torch.randn(1, 1, 16, 16, 16) * 0.05 - 0.8
    volume[..., 5:10, 8:13, 2:7] = 0.5
    sample = make_sample([[5, 8, 2, 10, 13, 7]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = sum(model.loss(volume, [sample]).values())
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]
    found = model.eval().detect(volume[0])
    torch.testing.assert_close(found.bboxes[0], sample.gt_instances.bboxes[0], atol=0.7, rtol=0)
    assert found.scores[0] > 0.5


@torch.no_grad()
def test_tiles_are_multiples_of_the_largest_stride(detector):
    tile = dict(tile_size=20, tile_overlap=4, score_thr=0.0)
    model = detector(data_preprocessor=dict(type='VolumeDataPreprocessor'), test_cfg=tile).eval()
    shapes, forward = [], model.backbone.forward
    model.backbone.forward = lambda x: (shapes.append(tuple(x.shape[2:])), forward(x))[1]
    found = model.detect(torch.randn(1, 25, 30, 10))
    # As long as fit into the scan; the second one along each axis ends with it.
    assert set(shapes) == {(24, 24, 8)} and len(shapes) == 8
    assert len(found) > 0 and (found.bboxes[:, 3:] <= torch.tensor([25, 30, 10])).all()


def test_focalmix_takes_it(detector, small_detector, make_batch):
    head = dict(PARTS, type='FCOS3DHead', strides=[2, 4, 8])
    model = MODELS.build(dict(type='FocalMixDetector', detector=small_detector(bbox_head=head)))
    parts = dict(sup=make_batch(2, (16, 16, 16)), unsup=make_batch(2, (16, 16, 16), (), seed=1))
    batch = {key: {name: part[key] for name, part in parts.items()} for key in parts['sup']}
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    sum(losses.values()).backward()
    assert losses['unsup_loss_cls'] > 0 and losses['loss_bbox'] > 0
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.detector.parameters())
