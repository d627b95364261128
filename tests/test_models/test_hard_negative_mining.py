"""Mining: which anchors are kept, with which weight."""

import pytest
import torch

from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.models.task_modules import HardNegativeMining, HardNegativeSampler


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


@pytest.mark.parametrize('mining', [HardNegativeMining(), HardNegativeSampler()])
def test_soft_targets_are_refused(mining):
    with pytest.raises(ValueError, match=f'{type(mining).__name__} found .*sampler=None'):
        mining(torch.zeros(1, 2, 1), make_targets([[0.0, 0.3]]))


def test_numbers_below_1_are_refused():
    with pytest.raises(ValueError, match='at least 1'):
        HardNegativeMining(num_negatives=0)


def drawn(sampler, logits, targets):
    """Positives and negatives (B, N) that a sampler keeps."""
    kept = sampler(logits, targets).cls_weight > 0
    positive = targets.cls[..., 0] > 0
    return kept & positive, kept & ~positive


def test_a_sampler_draws_by_patch():
    # 3 positives of 10; negatives 1 / 0.5 - 1 = 1 each, at least 2, where there are any.
    sampler = HardNegativeSampler(
        num_samples=6, positive_fraction=0.5, pool_size=1, min_negatives=2
    )
    cls = torch.zeros(4, 10)
    cls[1, :1], cls[2, :7], cls[3, :9] = 1, 1, 1
    positive, negative = drawn(sampler, torch.rand(4, 10, 1), make_targets(cls.tolist()))
    assert positive.sum(1).tolist() == [0, 1, 3, 3]
    assert negative.sum(1).tolist() == [2, 2, 3, 1]


def test_negatives_come_out_of_a_pool_of_the_worst():
    sampler = HardNegativeSampler(
        num_samples=4, positive_fraction=0.5, pool_size=3, min_negatives=1
    )
    # 2 positives, so 2 negatives out of the 6 highest that count: number 8 is ignored.
    logits = torch.arange(10.0).view(1, 10, 1)
    targets = make_targets([[1.0, 1] + [0.0] * 8], [[1.0] * 8 + [0, 1]])
    torch.manual_seed(0)
    pairs = set()
    for _ in range(200):
        positive, negative = drawn(sampler, logits, targets)
        assert positive[0].nonzero().flatten().tolist() == [0, 1]
        pairs.add(tuple(negative[0].nonzero().flatten().tolist()))
    pool = [3, 4, 5, 6, 7, 9]
    assert pairs == {(a, b) for a in pool for b in pool if a < b}


@pytest.mark.parametrize('cls', [[[1.0, 0, 0, 0, 0, 0]], [[1.0] * 4 + [0.0] * 2], [[0.0] * 6]])
def test_losses_of_a_sample_are_means(cls):
    logits, targets = torch.randn(1, 6, 1), make_targets(cls)
    sampler = HardNegativeSampler(
        num_samples=4, positive_fraction=0.5, pool_size=1, min_negatives=2
    )
    kept = sampler(logits, targets)
    number = kept.num_positives()
    value = SoftFocalLoss(alpha=(1.0, 1.0), gamma=0.0)(
        logits, kept.cls, kept.cls_weight, avg_factor=number
    )
    chosen = kept.cls_weight > 0
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[chosen], targets.cls[chosen]
    )
    torch.testing.assert_close(value, expected)
    # Every positive counts for the boxes, drawn or not: together 1, or 0 where there is none.
    share = kept.box_weight / number
    torch.testing.assert_close(share.sum(), targets.box_weight.max())
    assert torch.equal(share > 0, targets.box_weight > 0)


def test_samples_are_as_large_as_those_of_monai():
    module = pytest.importorskip(
        'monai.apps.detection.utils.hard_negative_sampler', reason='MONAI is not installed'
    )
    theirs = module.HardNegativeSampler(64, 0.3, min_neg=16, pool_size=20)
    ours = HardNegativeSampler(64, 0.3, pool_size=20, min_negatives=16)
    numbers = torch.arange(60)
    cls = (torch.arange(1000) < numbers[:, None]).float()
    logits = torch.rand(60, 1000, 1, generator=torch.Generator().manual_seed(0))
    positive, negative = drawn(ours, logits, make_targets(cls.tolist()))
    expected = theirs([row.long() for row in cls], logits.flatten())
    for found, masks in zip((positive, negative), expected, strict=True):
        assert found.sum(1).tolist() == [int(mask.sum()) for mask in masks]


@pytest.mark.parametrize(
    'wrong',
    [dict(positive_fraction=1.0), dict(num_samples=3), dict(pool_size=0.5), dict(min_negatives=0)],
)
def test_samples_of_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match='positive_fraction'):
        HardNegativeSampler(**wrong)
