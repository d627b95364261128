"""FocalMix: what it must leave alone, and the step itself."""

import copy
import re
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper

from mmdet3d_medical.models.dense_heads import DenseTargets
from mmdet3d_medical.models.dense_heads.targets import rows_of
from mmdet3d_medical.models.losses import SoftFocalLoss
from mmdet3d_medical.registry import MODELS

DOCS = Path(__file__).parents[2] / 'docs/tutorials/write_detector.md'
SHAPE = (16, 16, 16)
OFF = dict(mixers={})
ONE_VIEW = dict(type='AnchorTargets', views=dict(num=1))


def guessed(*steps, num=4, **cfg) -> dict:
    """Config of targets."""
    return dict(type='AnchorTargets', views=dict(num=num), steps=list(steps), **cfg)


def ema(momentum) -> dict:
    return dict(type='EMATeacher', momentum=momentum)


def step(model, batch) -> dict:
    """Losses of a batch, with gradients left in the model."""
    model.zero_grad()
    losses = model(**model.data_preprocessor(copy.deepcopy(batch), True), mode='loss')
    sum(losses.values()).backward()
    return losses


def gradients(model) -> list:
    return [parameter.grad for parameter in model.detector.parameters()]


def recorded(model, name) -> list:
    """Arguments of every call of a method of the wrapped head, from now on."""
    calls, method = [], getattr(model.detector.bbox_head, name)
    setattr(model.detector.bbox_head, name, lambda *args: (calls.append(args), method(*args))[1])
    return calls


# ------------------------------------------------------------------ identities


def test_what_the_detector_is_unsure_of_costs_nothing(focalmix, make_branches):
    """Everything lies between 0 and 1, nothing between 0 and 0."""
    losses = [
        step(
            focalmix(targets=guessed(dict(type='IgnoreRange', low=low, high=high)), **OFF),
            make_branches(),
        )
        for low, high in ((0, 1), (0, 0))
    ]
    none, all_ = (loss['unsup_loss_cls'].item() for loss in losses)
    assert none == 0 < all_
    assert losses[0]['loss_cls'] == losses[1]['loss_cls']


@pytest.mark.parametrize('as_branches', [True, False])
def test_without_unlabeled_patches_and_mixup_it_is_supervised_to_the_last_bit(
    focalmix, make_batch, as_branches
):
    model, batch = focalmix(**OFF), make_batch(2, SHAPE)
    plain = {key: {'sup': value} for key, value in batch.items()} if as_branches else batch
    ours, grads = step(model, plain), gradients(model)
    model.zero_grad()
    theirs = model.detector(**model.detector.data_preprocessor(batch, True), mode='loss')
    sum(theirs.values()).backward()
    assert ours == theirs and model.last_guess is None
    assert all(torch.equal(a, b) for a, b in zip(grads, gradients(model), strict=True))


def test_with_weight_0_and_lambda_1_only_the_labeled_patches_count(focalmix, make_branches):
    model = focalmix(
        unsup=dict(weight=0.0),
        mixers=dict(image=dict(type='ImageMixUp', eta=0), object=dict(type='ObjectMixUp', eta=0)),
    )
    batch = make_branches()
    ours, grads = step(model, batch), gradients(model)
    labeled = {key: value['sup'] for key, value in batch.items()}
    theirs = step(model, labeled)
    assert ours['unsup_loss_cls'] == 0
    for name, loss in theirs.items():
        torch.testing.assert_close(ours[name], loss, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(grads, gradients(model), atol=1e-6, rtol=1e-5)


def test_annotations_of_unlabeled_patches_change_nothing(focalmix, make_branches, make_sample):
    results = []
    for boxes in ([], [[1.0, 2, 3, 9, 9, 9], [0, 0, 0, 4, 4, 4]]):
        model, batch = focalmix(targets=guessed(num=2)), make_branches()
        batch['data_samples']['unsup'] = [make_sample(boxes) for _ in range(3)]
        calls = recorded(model, 'loss_by_targets')
        losses = step(model, batch)
        targets = [list(vars(targets).values()) for _, targets in calls]
        results.append((losses, targets, gradients(model)))
    torch.testing.assert_close(results[0], results[1], atol=0, rtol=0)


def test_it_is_the_wrapped_detector_in_testing(focalmix, make_batch):
    model, batch = focalmix().eval(), make_batch(1, SHAPE)
    model.detector.test_cfg['score_thr'] = 0.0
    ours = model.test_step(copy.deepcopy(batch))[0].pred_instances
    theirs = model.detector.test_step(copy.deepcopy(batch))[0].pred_instances
    assert len(ours) > 0 and torch.equal(ours.bboxes, theirs.bboxes)
    inputs = model.data_preprocessor(batch)['inputs']
    torch.testing.assert_close(model(inputs), model.detector(inputs), atol=0, rtol=0)
    torch.testing.assert_close(model.extract_feat(inputs), model.detector.extract_feat(inputs))


# -------------------------------------------------------------------- the step


def test_labeled_and_unlabeled_rows_are_normalized_apart(focalmix, make_branches):
    """By hand: each sum of losses is divided by the positives of its own rows."""
    hard = guessed(dict(type='Threshold', value=0.0101))
    unsup = dict(weight=0.25, divide_by=dict(type='OwnPositives'))
    model = focalmix(targets=hard, unsup=unsup, **OFF)
    calls, losses = recorded(model, 'loss_by_targets'), step(model, make_branches())
    assert list(losses) == ['loss_cls', 'loss_bbox', 'unsup_loss_cls', 'unsup_loss_bbox']
    assert losses['loss_bbox'] > 0 and losses['unsup_loss_bbox'] == 0
    (outs, labeled), (unsup_outs, unlabeled) = calls
    for name, weight, part, targets, rows in (
        ('loss_cls', 1.0, outs, labeled, 2),
        ('unsup_loss_cls', 0.25, unsup_outs, unlabeled, 3),
    ):
        logits, _ = model.detector.bbox_head.flatten(part)
        positives = (targets.cls >= 0.5).sum()
        total = SoftFocalLoss()(logits, targets.cls, reduction_override='none').sum()
        assert len(logits) == rows and positives > 0
        torch.testing.assert_close(losses[name], weight * total / positives)
    assert not torch.equal((labeled.cls >= 0.5).sum(), (unlabeled.cls >= 0.5).sum())
    assert unlabeled.box_weight.sum() == 0 and labeled.box_weight.sum() > 0
    assert torch.equal(unlabeled.cls, model.last_guess.cls)


class Recorder:
    """Mixes nothing, remembers what it was given."""

    def __init__(self, of_objects):
        self.of_objects = of_objects

    def mix(self, inputs, targets, rng):
        self.inputs, self.targets = inputs, targets
        return inputs + 1, targets


def test_what_is_mixed(block_detector, make_sample):
    """Image-level first, then object-level, on the joint batch, with one forward pass."""
    model = MODELS.build(
        dict(
            type='FocalMixDetector',
            detector=dict(type='BlockDetector'),
            targets=guessed(num=2, score_thr=0.9),
            **OFF,
        )
    )
    image, object_ = model.mixers = [Recorder(False), Recorder(True)]
    calls = recorded(model, 'forward')
    labeled, unlabeled = torch.zeros(2, 1, 4, 4, 4), torch.full((1, 1, 4, 4, 4), -9.0)
    unlabeled[0, 0, 2:, :2, 2:] = 9.0
    sample = make_sample([[0.0, 0, 0, 2, 2, 2]], ignored=[[2, 2, 2, 4, 4, 4]])
    empty = make_sample([])
    model.loss(dict(sup=labeled, unsup=unlabeled), dict(sup=[sample, empty], unsup=[empty]))
    assert torch.equal(image.inputs, torch.cat([labeled, unlabeled]))
    assert image.targets.cls.shape == (3, 8, 1)
    assert torch.equal(object_.inputs, torch.cat([labeled, unlabeled]) + 1)
    objects = [boxes.tolist() for boxes in object_.targets]
    assert objects == [[[0, 0, 0, 2, 2, 2]], [], [[2, 0, 2, 4, 2, 4]]]
    assert [len(args[0]) for args in calls] == [1, 1, 3]  # two views, one step
    assert torch.equal(calls[-1][0], torch.cat([labeled, unlabeled]) + 2)


def test_a_mixed_step_has_gradients_everywhere(focalmix, make_branches):
    model = focalmix(targets=guessed(num=2, score_thr=0.001))
    losses = step(model, make_branches())
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert sum(len(boxes) for boxes in model.last_guess.boxes) > 0
    assert all(torch.isfinite(grad).all() and grad.abs().sum() > 0 for grad in gradients(model))


def test_supervised_with_mixup(focalmix, make_batch):
    mixed, plain = focalmix(), focalmix(**OFF)
    batch = make_batch(4, SHAPE)
    losses = step(mixed, batch)
    assert set(losses) == {'loss_cls', 'loss_bbox'}
    assert losses['loss_cls'] != step(plain, batch)['loss_cls']


@pytest.mark.parametrize(
    'sup, unsup, names',
    [(0, 2, {'unsup_loss_cls', 'unsup_loss_bbox'}), (2, 0, {'loss_cls', 'loss_bbox'})],
)
def test_branches_without_a_sample(focalmix, make_branches, sup, unsup, names):
    batch = make_branches(sup, unsup)
    for part in batch.values():  # as MultiBranch leaves places of the other branch
        for other in ('sup', 'unsup'):
            part[other] = [None, *part.get(other, [])]
    assert set(step(focalmix(targets=ONE_VIEW), batch)) == names


def test_empty_branches(focalmix, make_batch):
    model, batch = focalmix(), make_batch(2, SHAPE)
    data = model.data_preprocessor(batch, True)
    inputs, samples = data['inputs'], data['data_samples']
    losses = model.loss(dict(sup=inputs, unsup=inputs[:0]), dict(sup=samples, unsup=[]))
    assert set(losses) == {'loss_cls', 'loss_bbox'}
    with pytest.raises(ValueError, match='branches \\[\\]'):
        model.loss(dict(sup=inputs[:0]), dict(sup=[]))


def test_patches_of_two_shapes_are_refused(focalmix, make_batch):
    parts = make_batch(1, SHAPE), make_batch(1, (16, 16, 24))
    batch = {
        key: dict(zip(('sup', 'unsup'), (part[key] for part in parts), strict=True))
        for key in parts[0]
    }
    with pytest.raises(ValueError, match='of one shape'):
        step(focalmix(), batch)


def test_labeled_patches_must_be_annotated(focalmix, make_branches):
    batch = make_branches(1, 1)
    batch['data_samples']['sup'][0].set_metainfo(dict(scan_id='007', annotated=False))
    with pytest.raises(ValueError, match='scan 007 has no annotations'):
        step(focalmix(), batch)


def test_a_loss_of_its_own_for_unlabeled_patches(focalmix, make_branches):
    @MODELS.register_module(force=True)
    class SumOfSquares(torch.nn.Module):
        def forward(self, logits, targets, weight, avg_factor):
            return ((logits.sigmoid() - targets) ** 2 * weight[..., None]).sum() / avg_factor

    model = focalmix(
        unsup=dict(loss=dict(type='SumOfSquares'), weight=2.0, divide_by=dict(type='OwnPositives')),
        **OFF,
    )
    batch = make_branches()
    losses, guess = step(model, batch), model.last_guess.cls
    inputs = model.data_preprocessor(batch, True)['inputs']['unsup']
    logits, _ = model.detector.bbox_head.flatten(model(inputs))
    expected = 2 * ((logits.sigmoid() - guess) ** 2).sum()  # no positive: divided by 1
    torch.testing.assert_close(losses['unsup_loss_cls'], expected)


def test_steps_are_drawn_from_seed_and_number(focalmix, make_branches):
    model, batch = focalmix(seed=3, targets=ONE_VIEW), make_branches()
    losses = [step(model, batch) for _ in range(3)]
    assert losses[0] != losses[1] != losses[2]
    resumed = focalmix(seed=3, targets=ONE_VIEW)
    step(resumed, batch)
    resumed.load_state_dict(model.state_dict())
    resumed.step.fill_(1)
    assert step(resumed, batch) == losses[1] and step(resumed, batch) == losses[2]
    assert int(model.state_dict()['step']) == 3
    assert step(focalmix(seed=4, targets=ONE_VIEW), batch) != losses[0]


def test_processes_draw_differently(focalmix, make_branches, monkeypatch):
    batch = make_branches()
    first = step(focalmix(), batch)
    monkeypatch.setattr('mmdet3d_medical.models.detectors.focalmix.get_rank', lambda: 1)
    assert step(focalmix(), batch) != first


# ---------------------------------------------------------------- the protocol


def register_the_documented_detector():
    blocks = re.findall(r'```python\n(.*?)```', DOCS.read_text(), flags=re.DOTALL)
    code = next(block for block in blocks if '@MODELS.register_module()' in block)
    exec(code.replace('register_module()', 'register_module(force=True)'), {})


def test_the_documented_detector_trains(make_sample):
    """What a detector needs at least, and that FocalMix lowers its losses and guesses right."""
    register_the_documented_detector()
    torch.manual_seed(0)
    model = MODELS.build(dict(type='FocalMixDetector', detector=dict(type='VoxelDetector')))
    volumes = torch.randn(4, 1, 4, 4, 4) * 0.1
    volumes[:, :, 1:3, 1:3, 1:3] += 2
    samples = [make_sample([[1.0, 1, 1, 3, 3, 3]]) for _ in range(4)]
    batch = dict(sup=volumes[:2], unsup=volumes[2:]), dict(sup=samples[:2], unsup=samples[2:])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    history = []
    for _ in range(150):
        optimizer.zero_grad()
        losses = model.loss(*batch)
        sum(losses.values()).backward()
        optimizer.step()
        history.append(losses['loss_cls'].item())
    assert set(losses) == {'loss_cls', 'unsup_loss_cls'}
    assert np.mean(history[-20:]) < 0.2 * np.mean(history[:20])
    right = model.last_guess.cls[..., 0] >= 0.5
    assert torch.equal(
        right,
        model.detector.bbox_head.get_targets(
            model.last_guess.priors, [s.gt_instances for s in samples[2:]], None
        ).cls[..., 0]
        == 1,
    )


def test_what_is_missing_is_named():
    @MODELS.register_module(force=True)
    class HalfHead(torch.nn.Module):
        def priors(self, shape):
            return None

        def flatten(self, outs):
            return None

    @MODELS.register_module(force=True)
    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bbox_head = HalfHead()

    missing = 'Half lacks extract_feat, bbox_head.get_targets, bbox_head.loss_by_targets'
    with pytest.raises(TypeError, match=missing):
        MODELS.build(dict(type='FocalMixDetector', detector=dict(type='Half')))


def test_rows_of_nested_outputs():
    Pair = namedtuple('Pair', 'a b')  # noqa: N806
    x = torch.arange(4)
    outs = rows_of([Pair(x, (x + 1, None)), {'x': x + 2, 'name': 'outs'}], slice(1, 3))
    assert isinstance(outs[0], Pair) and outs[0].a.tolist() == [1, 2]
    assert outs[0].b[0].tolist() == [2, 3] and outs[0].b[1] is None
    assert outs[1]['x'].tolist() == [3, 4] and outs[1]['name'] == 'outs'


def test_cat_and_rows_are_inverse():
    parts = [DenseTargets(*(torch.rand(2, 3, n) for n in (1, 1, 6, 1))) for _ in range(2)]
    joined = DenseTargets.cat(parts)
    for number, part in enumerate(parts):
        again = joined.rows(slice(2 * number, 2 * number + 2))
        assert all(torch.equal(vars(again)[name], value) for name, value in vars(part).items())


def test_the_documented_detector_takes_batches_of_scans(make_branches):
    """As the runner hands them over: int16 volumes in lists, windowed and stacked on the way."""
    register_the_documented_detector()
    model = MODELS.build(dict(type='FocalMixDetector', detector=dict(type='VoxelDetector')))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = model.train_step(make_branches(2, 2), OptimWrapper(optimizer))
    assert losses['loss'].isfinite()


# ------------------------------------------------------------------ boxes that nobody needs


def rows_of_box_branch(model, batch) -> list[int]:
    """Patches in each call of the branch on the first level, in a step."""
    seen, head = [], model.detector.bbox_head
    size = head.anchors.featmap_sizes(SHAPE)[0]
    hook = head.box_branch.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape)
    )
    step(model, batch)
    hook.remove()
    return [shape[0] for shape in seen if tuple(shape[2:]) == tuple(size)]


def test_boxes_are_predicted_where_they_count(focalmix, make_branches):
    """2 labeled and 3 unlabeled patches: of the first view, and of the labeled ones."""
    assert rows_of_box_branch(focalmix(targets=guessed(num=4)), make_branches()) == [3, 2]
    assert rows_of_box_branch(focalmix(targets=ONE_VIEW), make_branches(sup=0)) == [3, 3]
    boxes = dict(type='BoxTargets', views=dict(num=2), score_thr=0.011, ignore_thr=0.01)
    model = focalmix(targets=boxes, **OFF)
    assert rows_of_box_branch(model, make_branches()) == [3, 3, 5]
    assert model.last_guess.targets.box_weight.any()


def test_losses_and_gradients_are_those_with_all_boxes(focalmix, make_branches):
    """A head whose forward takes feature maps alone predicts all."""
    whole, saving = (focalmix(targets=guessed(score_thr=0.012)) for _ in range(2))
    forward = whole.detector.bbox_head.forward
    whole.detector.bbox_head.forward = lambda feats: forward(feats)
    theirs, ours = step(whole, make_branches()), step(saving, make_branches())
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    assert ours['loss_bbox'] > 0 == ours['unsup_loss_bbox']
    torch.testing.assert_close(gradients(saving), gradients(whole), rtol=1e-5, atol=1e-7)
