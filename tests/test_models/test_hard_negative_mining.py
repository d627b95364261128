"""Mining: which anchors are kept, with which weight."""

import pytest
import torch

from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.models.task_modules import HardNegativeMining


def make_targets(cls, weight=None) -> DenseTargets:
    cls = torch.tensor(cls)[..., None]
    weight = torch.ones(cls.shape[:2]) if weight is None else torch.tensor(weight)
    positive = (cls[..., 0] > 0).float()
    return DenseTargets(cls, weight, torch.zeros(*cls.shape[:2], 4), positive)


def test_the_hardest_negatives_of_the_batch_are_kept():
    # One negative a patch on average; both come from the second patch, whose scores are higher.
    logits = torch.tensor([[0.0, 1.0, 2.0, 9.0], [3.0, 7.0, 5.0, 9.0]])[..., None]
    targets = make_targets([[0.0, 0, 0, 1], [0.0, 0, 0, 1]])
    kept = HardNegativeMining(num_negatives=1)(logits, targets)
    assert kept.cls_weight.tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]
    assert kept.box_weight.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]
    assert targets.cls_weight.min() == 1  # the caller's targets stay


def test_ignored_anchors_are_never_kept():
    targets = make_targets([[0.0, 0, 1, 1]], [[0.0, 1, 0, 1]])
    kept = HardNegativeMining(num_negatives=5, num_positives=None)(torch.zeros(1, 4, 1), targets)
    assert kept.cls_weight.tolist() == [[0, 1, 0, 1]]
    assert kept.box_weight.tolist() == [[0, 0, 0, 1]]


def test_one_positive_of_each_patch_is_drawn():
    targets = make_targets([[1.0, 1, 0, 0], [1.0, 1, 1, 0], [0.0, 0, 0, 0]])
    torch.manual_seed(0)
    seen = set()
    for _ in range(40):
        kept = HardNegativeMining(balance=False)(torch.zeros(3, 4, 1), targets)
        positive = kept.cls_weight * targets.cls[..., 0]
        assert positive.sum(1).tolist() == [1, 1, 0]
        assert torch.equal(kept.box_weight, positive)
        seen.add(tuple(positive.nonzero()[:, 1].tolist()))
    assert seen == {(a, b) for a in range(2) for b in range(3)}


def test_candidates_are_a_random_choice():
    logits = torch.arange(100.0).view(1, 100, 1)
    targets = make_targets([[0.0] * 100])
    mining = HardNegativeMining(num_candidates=10, num_negatives=1)
    torch.manual_seed(0)
    found = {int(mining(logits, targets).cls_weight.argmax()) for _ in range(30)}
    # The highest of 10 out of 100: rarely number 99, hardly ever below 50 (1 in 1,000).
    assert len(found) > 5 and min(found) >= 50


@pytest.mark.parametrize('cls', [[[1.0, 0, 0, 0, 0, 0]], [[1.0, 1, 1, 0, 0, 0]], [[0.0] * 6]])
def test_balanced_cross_entropy_is_half_of_each_mean(cls):
    torch.manual_seed(0)
    logits = torch.randn(1, 6, 1)
    targets = make_targets(cls)
    kept = HardNegativeMining(num_negatives=2, num_positives=None)(logits, targets)
    loss = SoftFocalLoss(alpha=(0.5, 0.5), gamma=0.0)
    value = loss(logits, kept.cls, kept.cls_weight, avg_factor=kept.num_positives())
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets.cls, reduction='none'
    )[0, :, 0]
    positive = targets.cls[0, :, 0] > 0
    hardest = logits[0, ~positive, 0].topk(2).indices
    expected = 0.5 * entropy[~positive][hardest].mean()
    if positive.any():
        expected = expected + 0.5 * entropy[positive].mean()
    torch.testing.assert_close(value, expected)


def test_soft_targets_are_refused():
    with pytest.raises(ValueError, match='sampler=None'):
        HardNegativeMining()(torch.zeros(1, 2, 1), make_targets([[0.0, 0.3]]))


def test_numbers_below_1_are_refused():
    with pytest.raises(ValueError, match='at least 1'):
        HardNegativeMining(num_negatives=0)
