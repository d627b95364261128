"""The parts of which semi-supervised methods are composed."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdet3d_medical.datasets.transforms import ImageMixUp
from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.semi import (
    BoxTargets,
    LabeledPositives,
    OwnPositives,
    ScoreSum,
    StrongBlur,
    StrongContrast,
    StrongErasing,
    StrongNoise,
    UnlabeledLoss,
)

from .test_focalmix import OFF, guessed, step


def rng(seed=0) -> np.random.Generator:
    return np.random.default_rng(seed)


def targets_of(rows, weights=None) -> DenseTargets:
    cls = torch.tensor(rows)[..., None]
    weight = torch.ones(cls.shape[:2]) if weights is None else torch.tensor(weights)
    return DenseTargets(cls, weight, torch.zeros(*cls.shape[:2], 0), torch.zeros_like(weight))


# ------------------------------------------------------------------ what the loss is divided by


def test_what_the_unlabeled_loss_is_divided_by():
    """Labeled: 6 positives in 2 patches, then 2; unlabeled: 1 in 4, with targets of 1.8 in all."""
    six = targets_of([[1.0, 1, 1, 1], [1.0, 1, 0, 0]])
    two = targets_of([[1.0, 1, 0, 0], [0.0, 0, 0, 0]])
    unlabeled = targets_of(
        [[0.9, 0.4], [0.3, 0.0], [0.2, 0.0], [0.9, 0.0]], [[1.0, 1]] * 3 + [[0.0, 1]]
    )
    assert OwnPositives()(unlabeled, six) == 1
    assert float(ScoreSum()(unlabeled, six)) == pytest.approx(1.8)
    average = LabeledPositives(momentum=0.25)
    assert average(unlabeled, None) == 1  # nothing known yet
    assert average(unlabeled, six) == 3 * 4  # positives of a labeled patch, 4 patches
    assert average(unlabeled, two) == (0.75 * 3 + 0.25 * 1) * 4
    assert average(unlabeled, None) == 10  # a step without labeled patches
    with pytest.raises(ValueError, match='momentum'):
        LabeledPositives(momentum=0)


def test_the_loss_is_the_heads_divided_otherwise(focalmix, make_branches):
    hard = guessed(dict(type='Threshold', value=0.0101))
    models = [
        focalmix(targets=hard, unsup=dict(divide_by=dict(type=kind)), **OFF)
        for kind in ('OwnPositives', 'LabeledPositives')
    ]
    own, labeled = (step(model, make_branches())['unsup_loss_cls'] for model in models)
    numbers = [float(model.unsup.divisor) for model in models]
    assert numbers[0] != numbers[1] and own > 0
    torch.testing.assert_close(own * numbers[0], labeled * numbers[1])


def test_another_loss_is_weighted_and_divided():
    unsup = UnlabeledLoss(2.0, dict(type='SoftSquaredErrorLoss'), dict(type='LabeledPositives'))
    head = type('Head', (), {'flatten': staticmethod(lambda outs: (outs, None))})()
    labeled, guess = targets_of([[1.0, 1, 1, 1]]), targets_of([[1.0, 0, 0, 0]])
    losses = unsup(head, torch.zeros(1, 4, 1), guess, labeled)
    assert losses == dict(unsup_loss_cls=pytest.approx(2 * 4 * 0.25 / 4))


# ---------------------------------------------------------------------------------- box targets


def test_boxes_of_the_teacher_are_assigned_as_a_readers(block_detector):
    """Priors are the blocks of 2^3; logits are the voxels' mean, here 3, 0 and -9."""
    volume = torch.full((2, 1, 4, 4, 4), -9.0)
    volume[0, 0, 2:, :2, 2:] = 3.0  # .95: a lesion
    volume[0, 0, :2, :2, :2] = 0.0  # .5: counts neither way
    detector, seen = block_detector(), []
    assign = detector.bbox_head.get_targets

    def get_targets(priors, instances, metas):
        seen.append((instances, assign(priors, instances, metas)))
        return seen[-1][1]

    detector.bbox_head.get_targets = get_targets
    for num in (1, 8):
        guess = BoxTargets(dict(num=num), score_thr=0.9, ignore_thr=0.3)([detector], volume, rng())
        (first, second), targets = seen.pop()
        torch.testing.assert_close(
            first.bboxes, torch.tensor([[2.0, 0, 2, 4, 2, 4], [0, 0, 0, 2, 2, 2]])
        )
        assert first.ignored.tolist() == [False, True] and len(second) == 0
        assert first.labels.tolist() == [0, 0] and guess.targets is targets
        torch.testing.assert_close(guess.boxes[0], torch.tensor([[2.0, 0, 2, 4, 2, 4]]))


def test_what_few_detectors_find_loses_score(block_detector):
    volume = torch.full((1, 1, 4, 4, 4), -9.0)
    volume[0, 0, :2, :2, :2] = 3.0
    sure, blind = block_detector(), block_detector()
    with torch.no_grad():
        blind.bbox_head.bias -= 9
    targets = BoxTargets(score_thr=0.9, ignore_thr=0.3)
    assert len(targets([sure, sure], volume, rng()).boxes[0]) == 1
    assert len(targets([sure, blind], volume, rng()).boxes[0]) == 0
    with pytest.raises(ValueError, match='ignore_thr'):
        BoxTargets(score_thr=0.2, ignore_thr=0.3)


@pytest.mark.parametrize('side', [2.0, 3.0])
def test_anchors_that_match_an_unsure_box_count_neither_way(side, focalmix, monkeypatch):
    """Those larger than the box lie in it by less than half. A lesion beside it keeps its own."""
    detector = focalmix().detector
    corner, lesion = torch.full((3,), 8.3), torch.tensor([17.0, 17, 17, 22, 22, 22])
    unsure = torch.cat([corner, corner + side])
    volume, labels = torch.zeros(1, 1, 32, 32, 32), torch.tensor([0, 0])
    boxes = torch.stack([lesion, unsure])

    def guess(ignored, matched):
        found = InstanceData(bboxes=boxes, labels=labels, ignored=torch.tensor([False, ignored]))
        maker = BoxTargets(ignore_matched=matched)
        monkeypatch.setattr(maker, '_merged', lambda *_: found)
        return maker([detector], volume, rng()).targets

    positive = guess(False, False).cls[0, :, 0] > 0
    weights = {matched: guess(True, matched).cls_weight[0] for matched in (False, True)}
    kept = guess(True, True).cls[0, :, 0] > 0
    assert kept.any() and (weights[True][kept] == 1).all()
    assert (positive & ~kept).any() and (weights[True][positive & ~kept] == 0).all()
    assert (weights[False][positive & ~kept] == 1).any() and (weights[True] <= weights[False]).all()


def test_flat_boxes_are_no_lesions(block_detector):
    detector = block_detector()
    detector.bbox_head.decode = lambda priors, deltas: priors * torch.tensor([1.0, 1, 1, 0, 1, 1])
    guess = BoxTargets(score_thr=0.5)([detector], torch.full((1, 1, 4, 4, 4), 9.0), rng())
    assert len(guess.boxes[0]) == 0


def test_a_head_without_boxes_is_refused(focalmix, block_detector, monkeypatch):
    monkeypatch.delattr(type(block_detector().bbox_head), 'decode')
    with pytest.raises(TypeError, match='BlockHead has no `decode`'):
        focalmix(dict(type='BlockDetector'), targets=dict(type='BoxTargets'))


def test_boxes_are_learned_from_unlabeled_patches(focalmix, make_branches):
    boxes = dict(type='BoxTargets', score_thr=0.0101, ignore_thr=0.0101)
    model = focalmix(targets=boxes, **OFF)
    losses = step(model, make_branches())
    assert sum(map(len, model.last_guess.boxes)) > 0 and losses['unsup_loss_bbox'] > 0


# --------------------------------------------------------------------------------- strong views


@pytest.mark.parametrize('kind', [StrongContrast, StrongNoise, StrongBlur, StrongErasing])
def test_strong_views_change_copies_and_repeat(kind):
    image = torch.randn(3, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    kept = image.clone()
    changed = kind(prob=1.0)(image, rng(1))
    assert torch.equal(image, kept) and changed.shape == image.shape
    assert all(not torch.equal(a, b) for a, b in zip(changed, image, strict=True))
    assert torch.equal(kind(prob=1.0)(image, rng(1)), changed)
    assert torch.equal(kind(prob=0.0)(image, rng(1)), image)
    with pytest.raises(ValueError, match='prob'):
        kind(prob=1.5)


@pytest.mark.parametrize(
    'build',
    [
        lambda: StrongContrast(scale_range=(1.4, 0.7)),
        lambda: StrongNoise(sigma_range=(-0.1, 0.1)),
        lambda: StrongBlur(amount_range=(0.0, 1.1)),
        lambda: StrongErasing(size_range=(0.1, 1.5)),
    ],
)
def test_ranges_that_cannot_be(build):
    with pytest.raises(ValueError, match='_range must be'):
        build()


def test_strong_views_by_hand():
    image = torch.arange(27.0).reshape(1, 1, 3, 3, 3)
    bright = StrongContrast((2.0, 2.0), (0.5, 0.5), prob=1.0)(image, rng())
    torch.testing.assert_close(bright, 2 * image + 0.5)
    smooth = StrongBlur((1.0, 1.0), prob=1.0)(image, rng())
    assert smooth[0, 0, 1, 1, 1] == 13 and smooth[0, 0, 0, 0, 0] == image[0, 0, :2, :2, :2].mean()
    erased = StrongErasing(1, (1.0, 1.0), prob=1.0)(image, rng())
    assert (erased == 13).all()


def test_the_student_alone_sees_strong_views(focalmix, make_branches):
    """Targets are those of the patch as it is; labeled patches are left alone."""
    plain, strong = (
        focalmix(student=student, **OFF)
        for student in ((), [dict(type='StrongContrast', prob=1.0)])
    )
    losses = [step(model, make_branches()) for model in (plain, strong)]
    assert torch.equal(plain.last_guess.cls, strong.last_guess.cls)
    assert losses[0]['unsup_loss_cls'] != losses[1]['unsup_loss_cls']


# ----------------------------------------------------------------------------------------- MixUp


def test_anchors_that_the_partner_ignores():
    """By 'dominant' the target stands where the partner's is unknown, and is mixed elsewhere."""
    targets = targets_of([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 1, 1], [0.0, 1, 1]])
    partner, lam = torch.tensor([1, 0]), torch.tensor([0.75, 0.5])
    either = ImageMixUp().mix_targets(targets, partner, lam)
    assert either.cls_weight.tolist() == [[0, 1, 1], [0, 1, 1]]
    dominant = ImageMixUp(ignored='dominant').mix_targets(targets, partner, lam)
    assert dominant.cls_weight.tolist() == [[1, 1, 1], [0, 1, 1]]
    assert dominant.cls[0].flatten().tolist() == [1.0, 0.75, 0.0]
    with pytest.raises(ValueError, match='ignored'):
        ImageMixUp(ignored='both')


def test_strong_views_work_on_the_window_wherever_it_is_mapped_to(focalmix, small_detector):
    """A window mapped to 0 to 1 is changed as one mapped to -1 to 1."""
    cfg = small_detector()
    cfg['data_preprocessor'] = {
        **cfg.get('data_preprocessor', {}),
        'type': 'VolumeDataPreprocessor',
    }
    strong = [dict(type='StrongContrast', prob=1.0), dict(type='StrongNoise', prob=1.0)]
    patch, seen = torch.rand(1, 1, 8, 8, 8) * 2 - 1, []
    for value_range in ((-1.0, 1.0), (0.0, 1.0)):
        cfg['data_preprocessor']['value_range'] = value_range
        model = focalmix(cfg, student=strong)
        low, high = value_range
        half, middle = (high - low) / 2, (high + low) / 2
        seen.append((model._strong(patch * half + middle) - middle) / half)
    torch.testing.assert_close(*seen)
    assert not torch.equal(seen[0], patch)


def test_mixers_of_other_names_are_refused(focalmix):
    with pytest.raises(ValueError, match=r"mixers are named image and object, found \['objects'\]"):
        focalmix(mixers=dict(image=None, objects=None))
