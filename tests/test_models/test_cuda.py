"""On a GPU the same comes out as on a CPU. Skipped where there is none."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmdet3d_medical.models.layers import SplitGroupNorm
from mmdet3d_medical.registry import MODELS
from mmdet3d_medical.structures import nms3d

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """TF32, in which CUDA computes convolutions otherwise, has 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


def losses_of(model, batch, device):
    model = model.to(device).train()
    data = model.data_preprocessor(batch, True)
    losses = model(**data, mode='loss')
    return {name: value.item() for name, value in losses.items() if 'loss' in name}


def test_losses_of_focalmix(focalmix, make_branches):
    """Guesses in four views, both MixUps, anchor targets and both losses."""
    batch = make_branches()
    on_cpu, on_gpu = (losses_of(focalmix(), batch, device) for device in ('cpu', 'cuda'))
    assert on_gpu == pytest.approx(on_cpu, rel=1e-3)
    assert min(on_cpu.values()) >= 0 < on_cpu['loss_cls']


def test_detections(small_detector, make_batch):
    torch.manual_seed(0)
    model = MODELS.build(small_detector()).eval()
    batch = make_batch(2, (16, 24, 16))
    on_cpu = [sample.pred_instances for sample in model.test_step(batch)]
    on_gpu = [sample.pred_instances.cpu() for sample in model.cuda().test_step(batch)]
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert len(ours) == len(theirs) > 0
        torch.testing.assert_close(ours.scores, theirs.scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('centers', [0, 20])
def test_nms(centers):
    """Scattered boxes, and clusters; enough for several blocks."""
    rng = torch.Generator().manual_seed(0)
    middle = 150 * torch.rand(2500, 3, generator=rng)
    if centers:
        middle = middle[torch.randint(centers, (2500,), generator=rng)]
        middle = middle + 2 * torch.randn(2500, 3, generator=rng)
    size = 2 + 12 * torch.rand(2500, 3, generator=rng)
    boxes, scores = torch.cat([middle - size / 2, middle + size / 2], 1), torch.rand(2500)
    kept = nms3d(boxes, scores, 0.2)
    assert torch.equal(nms3d(boxes.cuda(), scores.cuda(), 0.2).cpu(), kept)
    assert 20 < len(kept) < 2500


def train(model, batch, steps, **optim_wrapper) -> list[float]:
    """The loss of each step."""
    model = model.cuda().train()
    wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='AdamW', lr=3e-3), **optim_wrapper)
    )
    losses = [model.train_step(batch, wrapper)['loss'].item() for _ in range(steps)]
    assert all(weight.isfinite().all() for weight in model.parameters())
    return losses


FLOAT16 = dict(type='AmpOptimWrapper', loss_scale='dynamic')


def test_losses_of_focalmix_in_float16(focalmix, make_branches):
    batch, float32 = make_branches(), dict(type='OptimWrapper')
    full, half = (train(focalmix(), batch, 3, **cfg) for cfg in (float32, FLOAT16))
    assert half[0] == pytest.approx(full[0], rel=0.02)


def test_a_batch_is_learnt_in_float16(small_detector, make_batch):
    """Steps whose gradients are too large for float16 are left out until the loss scale fits."""
    torch.manual_seed(0)
    losses = train(MODELS.build(small_detector()), make_batch(2, (16, 16, 16)), 40, **FLOAT16)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize('wrapper', [dict(type='OptimWrapper'), FLOAT16], ids=['32', '16'])
def test_recomputed_activations(small_detector, make_batch, wrapper):
    losses, norm = [], dict(type='GN', num_groups=2)
    for on in (False, True):
        torch.manual_seed(0)
        cfg = small_detector(recompute_activations=on)
        cfg['bbox_head'].update(norm_cfg=norm)
        cfg['backbone'].update(norm_cfg=dict(type='BN3d'))
        losses.append(train(MODELS.build(cfg), make_batch(2, (16, 16, 16)), 3, **wrapper))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize('shape', [(2, 16, 24, 20, 28), (1, 8, 3, 1, 2)])
@pytest.mark.parametrize('half', [False, True], ids=['32', '16'])
def test_split_group_norm(shape, half):
    """Outputs and gradients of PyTorch's kernel, with autocast too."""
    torch.manual_seed(0)
    x, grad = (2 + torch.randn(shape, device='cuda') for _ in range(2))
    results = []
    for kind in (torch.nn.GroupNorm, SplitGroupNorm):
        norm = torch.nn.GroupNorm(4, shape[1]).cuda()
        norm.__class__ = kind
        inputs = (x.half() if half else x).detach().requires_grad_()
        with torch.autocast('cuda', enabled=half):
            out = norm(inputs)
        results.append([out, *torch.autograd.grad(out, [inputs, *norm.parameters()], grad)])
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


def test_boxes_that_nobody_needs_change_no_loss(focalmix, make_branches):
    batch, losses = make_branches(), []
    for whole in (True, False):
        model = focalmix()
        if whole:  # a head whose forward takes feature maps alone
            forward = model.detector.bbox_head.forward
            model.detector.bbox_head.forward = lambda feats, forward=forward: forward(feats)
        losses.append(losses_of(model, batch, 'cuda'))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
